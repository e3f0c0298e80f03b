// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/checkpoint.hpp"

#include "hone/io/safetensors.hpp"
#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

const transformer::config shape{
    .d_model = 4, .d_ff = 3, .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .vocab = 5, .max_seq = 8, .qkv_bias = true};

/// A file of the model's tensors by the names of the table, after @p change of their list.
template <class F>
safetensors file_of(const scratch_folder& folder, const std::vector<float>& elements, F&& change) {
  std::vector<tensor_source> sources;
  for (const transformer::tensor& t : transformer::tensor_table(shape)) {
    const bool vector = t.kind == transformer::tensor_kind::norm || t.kind == transformer::tensor_kind::bias;
    sources.push_back(
        {t.name, vector ? std::vector{t.cols} : std::vector{t.rows, t.cols},
         std::span(elements).subspan(static_cast<std::size_t>(t.offset), static_cast<std::size_t>(t.size()))});
  }
  change(sources);
  write_safetensors(folder.path / "file", sources);
  return read_safetensors(folder.path / "file");
}

checkpoint gather(const safetensors& file, const transformer::config& c = shape) {
  return gather_checkpoint(
      c, file.tensors, "file", [](const transformer::tensor& t) { return t.name; },
      [](std::string_view name) { return name == "spare"; });
}

}  // namespace

TEST_CASE(
    "a checkpoint is gathered in the order of the table, whatever that of the file; what is not finite is counted") {
  const scratch_folder folder;
  std::vector<float> elements(static_cast<std::size_t>(transformer::parameter_count(shape)));
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(i);
  const auto file = file_of(folder, elements, [](auto& t) {
    std::reverse(t.begin(), t.end());
    t.push_back({"spare", {2}, std::span(t[0].elements).first(2)});
  });
  const checkpoint m = gather(file);
  CHECK(m.config == shape);
  CHECK(m.parameters == elements);
  CHECK(m.nonfinite == 0);
  elements[3] = std::numeric_limits<float>::infinity();
  elements[50] = std::numeric_limits<float>::quiet_NaN();
  CHECK(gather(file_of(folder, elements, [](auto&) {})).nonfinite == 2);
}

TEST_CASE("tensors that are missing, more, or of another shape are refused by name") {
  const scratch_folder folder;
  const std::vector<float> elements(static_cast<std::size_t>(transformer::parameter_count(shape)));
  const auto reason = [&](auto change, const transformer::config& c = shape) {
    const auto file = file_of(folder, elements, change);
    const auto error = format_error_of([&] { gather(file, c); });
    return error ? error->reason() : "";
  };
  CHECK(reason([](auto& t) { t.erase(t.begin() + 3); }) == "there is no tensor \"bq.0\"");
  CHECK(reason([](auto& t) { t.push_back({"w4.0", {1}, std::span(t[0].elements).first(1)}); }) ==
        "tensor \"w4.0\": the model has no such part");
  CHECK(reason([](auto& t) { std::swap(t[0].shape[0], t[0].shape[1]); }) ==
        "tensor \"tok_emb\": has the shape [4, 5], must have [5, 4]");
  CHECK(reason([](auto& t) { t[3].shape = {1, 4}; }) == "tensor \"bq.0\": has the shape [1, 4], must have [4]");
  transformer::config deep = shape;
  deep.n_layers = 2147483647;
  CHECK(reason([](auto&) {}, deep) == "2147483647 layers in 14 tensors");
  deep.n_layers = 15;
  CHECK(reason([](auto&) {}, deep) == "15 layers in 14 tensors");
  deep.n_layers = 14;
  CHECK(reason([](auto&) {}, deep) == "there is no tensor \"att_norm.1\"");
  transformer::config sparse = shape;
  sparse.experts = {.count = 15, .d_ff = 2};
  CHECK(reason([](auto&) {}, sparse) == "15 experts in each of 1 layers, in 14 tensors");
  sparse.experts.count = 14;
  CHECK(reason([](auto&) {}, sparse) == "there is no tensor \"router.0\"");
  transformer::config wide = shape;
  wide.d_ff = 2147483647;
  CHECK(reason([](auto&) {}, wide) == "tensor \"w1.0\": has the shape [3, 4], must have [2147483647, 4]");
}
