// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/stored_adapter.hpp"

#include "hone/io/lora_gguf.hpp"
#include "hone/io/peft.hpp"
#include "io/adapters.hpp"
#include "io/support.hpp"

using namespace hone::io;

TEST_CASE("an adapter is the same out of either format: sites in the table's order, infinite parameters counted") {
  hone::lora::adapter<float> adapter = made_adapter();
  for (hone::lora::site& s : adapter.sites) s.scale = 8.0 / static_cast<double>(s.rank);
  adapter.parameters[5] = std::numeric_limits<float>::infinity();
  const scratch_folder folder;
  write_peft(folder.path / "peft", small_model, adapter);
  write_lora_gguf(folder.path / "adapter.gguf", small_model, adapter);
  for (const stored_adapter& read :
       {read_peft(folder.path / "peft", small_model), read_lora_gguf(folder.path / "adapter.gguf", small_model)}) {
    CHECK(read.nonfinite == 1);
    CHECK(read.adapter.parameters == adapter.parameters);
    REQUIRE(read.adapter.sites.size() == adapter.sites.size());
    for (std::size_t i = 0; i < adapter.sites.size(); ++i) {
      CHECK(read.adapter.sites[i].name == adapter.sites[i].name);
      CHECK(read.adapter.sites[i].scale == Approx(adapter.sites[i].scale));
    }
  }
}
