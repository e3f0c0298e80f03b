// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <torch/torch.h>
// Both define CHECK; the tests mean Catch's.
#undef CHECK

#include "hone/interop/torch.hpp"

#include "hone/gradient/combine.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"
#include "hone/interop/dlpack.hpp"

#include "support/catch.hpp"

#include <ATen/DLConvertor.h>

#include <atomic>
#include <vector>

using namespace hone;

TEST_CASE("torch: strides, slices, transposes and empty tensors") {
  const at::Tensor m = torch::arange(24, at::kFloat).reshape({4, 6});
  CHECK(matrix_of<float>(m)(1, 2) == 8);
  CHECK(matrix_of<float>(m.t())(2, 1) == 8);
  CHECK(vector_of<float>(m).size() == 24);
  CHECK(vector_of<float>(m.select(1, 2)).stride() == 6);
  CHECK(visit_vector(m.select(1, 2), [](auto x) { return hone::sum(x); }) == 2 + 8 + 14 + 20);
  CHECK(vector_of<float>(m.slice(0, 1, 3)).size() == 12);
  CHECK_THROWS_AS(vector_of<float>(m.t()), std::invalid_argument);
  CHECK(vector_of<float>(torch::empty({0, 3})).size() == 0);
  CHECK(vector_of<float>(torch::zeros({})).size() == 1);
  hone::fill(vector_of<float>(m.select(0, 3)), 5.0f);
  CHECK(m[3][5].item<float>() == 5);
  CHECK(vector_of<double>(torch::ones({1}, at::kDouble).expand({7}))[6] == 1);
}

TEST_CASE("torch: every type that hone has, visited once; what has no such memory is refused") {
  const auto format_of = [](at::ScalarType type) {
    return visit_vector(torch::ones({3}, type), []<class T>(vector_view<T> x) {
      CHECK(hone::sum(x) == 3);
      return scalar_format<T>;
    });
  };
  CHECK(format_of(at::kFloat) == format::float32);
  CHECK(format_of(at::kDouble) == format::float64);
  CHECK(format_of(at::kBFloat16) == format::bfloat16);
  CHECK(format_of(at::kHalf) == format::float16);
  CHECK_THROWS_WITH(format_of(at::kLong), "hone::visit_vector: x: holds Long, not Float, Double, BFloat16 or Half");
  CHECK_THROWS_AS(vector_of<float>(at::Tensor()), std::invalid_argument);
  CHECK_THROWS_AS(vector_of<float>(torch::ones({3}).to_sparse()), std::invalid_argument);
  CHECK_THROWS_AS(vector_of<float>(torch::empty({3}, at::device(at::kMeta))), std::invalid_argument);
  const at::Tensor lazily = torch::imag(torch::conj(torch::ones({3}, at::kComplexFloat)));
  CHECK_THROWS_AS(vector_of<float>(lazily), std::invalid_argument);
  CHECK_THROWS_AS(vector_of<double>(torch::ones({3})), std::invalid_argument);
}

TEST_CASE("torch's threads: every index runs once, sums keep their bits, exceptions reach the caller") {
  STATIC_REQUIRE(executor<torch_threads>);
  torch_threads pool;
  std::vector<std::atomic<int>> runs(1001);
  pool.parallel_for(1001, 1, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
  });
  for (const auto& r : runs) REQUIRE(r == 1);
  const at::Tensor x = torch::full({100000}, 0.1f);
  CHECK(hone::sum(vector_of<float>(x), pool) == hone::sum(vector_of<float>(x)));
  CHECK_THROWS_AS(pool.parallel_for(10, 1, [](index_t, index_t) { throw std::invalid_argument("stop"); }),
                  std::invalid_argument);
}

TEST_CASE("LibTorch's DLPack tensors are DLPack tensors") {
  const at::Tensor x = torch::arange(12, at::kDouble).reshape({3, 4}).t();
  DLManagedTensor* const managed = at::toDLPack(x);
  CHECK(matrix_of<double>(managed->dl_tensor)(1, 2) == 9);
  managed->deleter(managed);
}

TEST_CASE("a training step with two losses, the retain gradient kept") {
  torch::manual_seed(1);
  torch::nn::Linear model(4, 2);
  torch::optim::SGD optimiser(model->parameters(), 0.1);
  const at::Tensor forget_x = torch::randn({8, 4}), retain_x = torch::randn({8, 4});
  const auto loss_of = [&](const at::Tensor& x) { return model->forward(x).square().mean(); };
  std::vector<at::Tensor> forget_reference, retain_reference;
  for (const auto& p : model->parameters()) {
    forget_reference.push_back(torch::autograd::grad({-loss_of(forget_x)}, {p})[0]);
    retain_reference.push_back(torch::autograd::grad({loss_of(retain_x)}, {p})[0]);
  }
  hone::torch_threads pool;
  optimiser.zero_grad();
  (-loss_of(forget_x)).backward();
  std::vector<at::Tensor> forget;
  for (auto& p : model->parameters()) {
    forget.push_back(p.grad());
    p.mutable_grad() = at::Tensor();  // the retain pass makes a gradient of its own
  }
  loss_of(retain_x).backward();
  for (std::size_t i = 0; i < forget.size(); ++i)
    hone::visit_vector(model->parameters()[i].grad(), [&]<class T>(hone::vector_view<T> retain) {
      hone::gradient::combine(hone::gradient::sago{}, hone::gradient::tasks(hone::vector_of<T>(forget[i]), retain),
                              retain, {}, pool);
    });
  optimiser.step();
  for (std::size_t i = 0; i < forget.size(); ++i) {
    const at::Tensor f = forget_reference[i], r = retain_reference[i];
    const at::Tensor expected = torch::where(f.sign() * r.sign() < 0, r, f);
    CHECK(torch::allclose(model->parameters()[i].grad(), expected, 1e-5, 1e-7));
  }
}
