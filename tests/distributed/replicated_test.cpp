// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/distributed/replicated.hpp"

#include "hone/distributed/threads.hpp"
#include "hone/gradient/pcgrad.hpp"

#include "distributed/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::distributed;

TEST_CASE("replicas: the mean or the sum of local gradients, combined and gathered, as one process has it") {
  const reduction how = GENERATE(reduction::mean, reduction::sum);
  const index_t n = 3 * block_size + 100, size = 4;
  auto f = ranks::summed<float>(n, size, 1), r = ranks::summed<float>(n, size, 2);
  if (how == reduction::mean) hone::scale(0.25f, f), hone::scale(0.25f, r);
  std::vector<float> expected(f.size());
  const std::vector<index_t> tensors = {0, 50, n};
  gradient::combine(gradient::pcgrad{}, gradient::tasks(f, r), expected, {.groups = tensors});
  thread_ranks all(size);
  all.run([&](threads& comm) {
    auto forget = ranks::brought<float>(n, comm.rank(), 1), retain = ranks::brought<float>(n, comm.rank(), 2);
    distributed::combine_replicated(gradient::pcgrad{}, std::array{std::span(forget), std::span(retain)}, retain, how,
                                    {.groups = tensors}, serial{}, comm);
    ranks::require(retain == expected, "combine_replicated");
  });
}

TEST_CASE("replicas that do not fit together are refused on all ranks") {
  thread_ranks all(2);
  std::atomic<int> refused = 0;
  all.run([&](threads& comm) {
    const bool second = comm.rank() == 1;
    std::vector<float> f(10), longer(second ? 11 : 10), out(10, 7.0f);
    const auto both = [&](auto& x, auto& y) { return std::array{std::span(x), std::span(y)}; };
    const auto run = [&](const auto& local, auto& target, reduction how, std::span<const index_t> groups = {}) {
      combine_replicated(gradient::pcgrad{}, local, target, how, {.groups = groups}, serial{}, comm);
    };
    refused += ranks::refused([&] { run(both(f, longer), out, reduction::sum); });
    refused += ranks::refused([&] { run(both(longer, longer), longer, reduction::sum); });
    refused += ranks::refused([&] { run(both(f, f), longer, reduction::sum); });
    refused += ranks::refused([&] { run(both(f, f), out, second ? reduction::sum : reduction::mean); });
    refused +=
        ranks::refused([&] { run(both(f, f), out, reduction::sum, std::vector<index_t>{0, second ? 3 : 4, 10}); });
    refused += ranks::refused([&] {
      combine_replicated(gradient::pcgrad{.retain = second ? 2.0 : 1.0}, both(f, f), out, reduction::sum, {}, serial{},
                         comm);
    });
    std::vector<float> wide(20, 7.0f);
    const vector_view<float> strided(wide.data(), 10, second ? 2 : 1), repeated(wide.data(), 10, second ? 0 : 1);
    const std::span<float> nowhere(static_cast<float*>(nullptr), 10);
    refused += ranks::refused([&] { run(both(f, f), strided, reduction::sum); });
    refused += ranks::refused([&] { run(both(f, f), repeated, reduction::sum); });
    refused +=
        ranks::refused([&] { run(std::array{std::span(f), second ? nowhere : std::span(f)}, out, reduction::sum); });
    ranks::require(f == std::vector<float>(10), "nothing is reduced");
    ranks::require(wide == std::vector<float>(20, 7.0f), "nothing is written");
    refused += ranks::refused([&] { sum_over_ranks(std::span(longer), comm); });
    refused += ranks::refused([&] { sum_over_ranks(second ? nowhere : std::span(f), comm); });
    refused += ranks::refused([&] { sum_over_ranks(nowhere, comm); });
    ranks::require(out == std::vector<float>(10, 7.0f), "nothing is written");
  });
  CHECK(refused == 24);
}

TEST_CASE("what does not fit between replicas is said by the rank that it is about") {
  const auto message = [](index_t odd_local, index_t odd_out, bool memory, index_t stride) {
    std::string said;
    try {
      thread_ranks(2).run([&](threads& comm) {
        const bool second = comm.rank() == 1;
        std::vector<float> f(10), g(static_cast<std::size_t>(second ? odd_local : 10)), out(30);
        const vector_view<float> target(out.data(), second ? odd_out : 10, second ? stride : 1);
        const std::span<float> other =
            second && !memory ? std::span<float>(static_cast<float*>(nullptr), 10) : std::span(g);
        combine_replicated(gradient::pcgrad{}, std::array{std::span(f), other}, target, reduction::sum, {}, serial{},
                           comm);
      });
    } catch (const std::invalid_argument& error) {
      said = error.what();
    }
    return said;
  };
  const std::string of = "hone::distributed::combine_replicated: ";
  CHECK(message(10, 10, true, 1) == "");
  CHECK(message(11, 10, true, 1) == of + "local: on rank 1 gradients have 10 and 11 elements");
  CHECK(message(10, 9, true, 1) == of + "out: on rank 1 has 9 elements, the gradients 10");
  CHECK(message(10, 10, false, 1) == of + "local: on rank 1 a gradient has no memory");
  CHECK(message(10, 10, true, 2) == of + "out: on rank 1 must be contiguous memory");
}
