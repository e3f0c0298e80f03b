// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/gguf_experts.hpp"

#include "hone/io/gguf_writer.hpp"
#include "io/support.hpp"

using namespace hone::io;

namespace {

gguf written(const scratch_folder& folder, std::span<const tensor_source> tensors) {
  write_gguf(folder.path / "m.gguf", {{"general.architecture", std::string("llama")}}, tensors);
  return read_gguf(folder.path / "m.gguf");
}

}  // namespace

TEST_CASE("a tensor of experts is cut into one of each, which shows its part of the file; others stay") {
  std::vector<float> x(24);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  const scratch_folder folder;
  const gguf file =
      written(folder, std::vector<tensor_source>{{"blk.10.ffn_down_exps.weight", {3, 4, 2}, x, hone::format::float16},
                                                 {"blk.2.ffn_up_exps.weight.lora_a", {3, 1, 8}, x},
                                                 {"blk.2.attn_q.weight", {4, 6}, x},
                                                 {"blk.2.attn_q_exps.weight", {4, 6}, x},
                                                 {"blk.2.ffn_up.7.weight", {24}, x}});
  const std::vector<stored_tensor> parts = split_experts(file.tensors, 3);
  std::vector<std::string> names;
  for (const stored_tensor& t : parts) names.push_back(t.name);
  CHECK(names == std::vector<std::string>{"blk.10.ffn_down.0.weight", "blk.10.ffn_down.1.weight",
                                          "blk.10.ffn_down.2.weight", "blk.2.attn_q.weight", "blk.2.attn_q_exps.weight",
                                          "blk.2.ffn_up.0.weight.lora_a", "blk.2.ffn_up.1.weight.lora_a",
                                          "blk.2.ffn_up.2.weight.lora_a", "blk.2.ffn_up.7.weight"});
  const stored_tensor& part = *find_tensor(parts, "blk.10.ffn_down.1.weight");
  CHECK(part.shape == std::vector<hone::index_t>{4, 2});
  CHECK(elements_of(part) == std::vector<float>(x.begin() + 8, x.begin() + 16));
  const stored_tensor& all = *find_tensor(file.tensors, "blk.10.ffn_down_exps.weight");
  CHECK(part.bytes.data() == all.bytes.data() + 16);
  CHECK(part.offset == all.offset + 16);
  CHECK(elements_of(*find_tensor(parts, "blk.2.ffn_up.2.weight.lora_a")) ==
        std::vector<float>(x.begin() + 16, x.end()));
  CHECK(gguf_experts_name(hone::transformer::role::w3, 2) == "blk.2.ffn_up_exps");
}

TEST_CASE("experts of another number or rank are refused by the tensor's name") {
  const std::vector<float> x(24);
  for (const std::vector<hone::index_t>& shape : {std::vector<hone::index_t>{24}, {4, 6}, {2, 3, 4}, {2, 2, 3, 2}}) {
    const scratch_folder folder;
    const gguf file = written(folder, std::vector<tensor_source>{{"blk.0.ffn_gate_exps.weight", shape, x}});
    CHECK_THROWS_WITH(
        split_experts(file.tensors, 3),
        Catch::Contains("\"blk.0.ffn_gate_exps.weight\": does not have three axes, the first of them of 3"));
  }
}
