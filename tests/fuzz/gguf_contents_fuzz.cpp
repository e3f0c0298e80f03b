// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Whatever metadata and tensors a GGUF file has, it is a model, an adapter of the tests' small model, both or neither;
/// an adapter that is read fits the model, and everything else is a format_error.
#include "hone/io/gguf_model.hpp"
#include "hone/io/lora_gguf.hpp"

#include "io/adapters.hpp"

#include <cstdlib>

using namespace hone;

namespace {

template <class F>
void allow_format_errors(F&& f) {
  try {
    f();
  } catch (const io::format_error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  allow_format_errors([&] {
    const io::gguf file = io::parse_gguf(std::as_bytes(std::span(data, size)), "fuzz");
    allow_format_errors([&] {
      const io::checkpoint model = io::gather_gguf_model(file, "fuzz");
      if (std::ssize(model.parameters) != transformer::parameter_count(model.config)) std::abort();
    });
    allow_format_errors([&] {
      lora::adapter<float> adapter = io::detail::lora_of(file, "fuzz", small_model, "llama").adapter;
      if (lora::lay_out(adapter.sites) != std::ssize(adapter.parameters)) std::abort();
    });
  });
  return 0;
}
