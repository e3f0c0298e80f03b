// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Whatever metadata and tensors a GGUF file has, it is a model, an adapter of the tests' small model, both or neither;
/// an adapter that is read fits the model, and everything else is a format_error.
#include "hone/io/gguf_model.hpp"
#include "hone/io/lora_gguf.hpp"

#include "fuzz/support.hpp"
#include "io/adapters.hpp"

using namespace hone;

FUZZ(input) {
  read_or_refused(input.size(), [&] {
    const io::gguf file = io::parse_gguf(input.bytes(), "fuzz");
    read_or_refused(input.size(), [&] {
      const io::checkpoint model = io::gather_gguf_model(file, "fuzz");
      require(std::ssize(model.parameters) == transformer::parameter_count(model.config));
    });
    read_or_refused(input.size(), [&] {
      lora::adapter<float> adapter = io::detail::lora_of(file, "fuzz", small_model, "llama").adapter;
      require(lora::lay_out(adapter.sites) == std::ssize(adapter.parameters));
    });
  });
}
