// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/budget.hpp"

#include <atomic>
#include <thread>
#include <type_traits>

#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;
using one_budget = budget<replace_one>;

namespace {

/// Whether there is that much left; if so it is reserved, and not committed.
bool takes(one_budget& b, double epsilon) {
  try {
    return !b.reserve(approximate_loss<replace_one>(epsilon)).committed();
  } catch (const budget_exhausted&) {
    return false;
  }
}

}  // namespace

static_assert(!std::is_copy_constructible_v<one_budget> && !std::is_copy_assignable_v<one_budget>);
static_assert(!std::is_copy_constructible_v<one_budget::reservation>);
static_assert(std::is_base_of_v<std::runtime_error, budget_exhausted>);

TEST_CASE("a basic sum: reserved at once, spent when committed, nothing comes back") {
  one_budget b({1, 1e-6});
  {
    auto first = b.reserve(approximate_loss<replace_one>(0.4, 4e-7));
    CHECK(b.reserved() == epsilon_delta{0.4, 4e-7});
    CHECK(b.spent() == epsilon_delta{0, 0});
    CHECK(!first.committed());
    first.commit();
    CHECK(first.committed());
    CHECK(first.curve() == approximate_loss<replace_one>(0.4, 4e-7));
    CHECK(b.spent() == epsilon_delta{0.4, 4e-7});
    CHECK(takes(b, 0.5));
  }
  CHECK(b.spent() == epsilon_delta{0.4, 4e-7});
  CHECK(b.reserved().epsilon == Approx(0.9));
  CHECK_THROWS_AS(b.reserve(approximate_loss<replace_one>(0.11)), budget_exhausted);
  CHECK_THROWS_AS(b.reserve(approximate_loss<replace_one>(0, 7e-7)), budget_exhausted);
  CHECK(b.reserved().epsilon == Approx(0.9));  // a refusal takes nothing
  CHECK(b.reserved().delta == 4e-7);
  b.reserve(approximate_loss<replace_one>(0.1, 6e-7)).commit();
  CHECK_THROWS_WITH(b.reserve(approximate_loss<replace_one>(0.25)),
                    "hone::privacy::budget: exhausted: with this release the loss would be epsilon 1.25, delta 1e-06 "
                    "of 1, 1e-06");
  b.reserve(approximate_loss<replace_one>(0)).commit();  // what costs nothing is never refused
  CHECK(b.total() == epsilon_delta{1, 1e-6});
}

TEST_CASE("sums of decimals are not refused for the rounding of their terms, and of nothing more") {
  for (const int parts : {3, 7, 10, 49, 1000}) {
    one_budget b({1, 1e-6});
    const auto part = approximate_loss<replace_one>(1.0 / parts, 1e-6 / parts);
    for (int i = 0; i < parts; ++i) b.reserve(part).commit();
    CHECK_THROWS_AS(b.reserve(approximate_loss<replace_one>(1e-15)), budget_exhausted);
    CHECK_THROWS_AS(b.reserve(approximate_loss<replace_one>(0, 1e-21)), budget_exhausted);
    CHECK(b.spent().epsilon == Approx(1).epsilon(1e-15));
  }
  // Small ones after a large one add up, whatever a double would lose.
  one_budget b({1, 0});
  CHECK(takes(b, 0.999999));
  int accepted = 0;
  while (accepted < 200 && takes(b, 1e-8)) ++accepted;
  CHECK(accepted == 100);
  one_budget tiny({1, 0});
  CHECK(takes(tiny, 1));
  int more = 0;
  while (more < 1000 && takes(tiny, 1e-17)) ++more;
  CHECK(more <= 23);
}

TEST_CASE("a sum of rhos is converted whole") {
  const double delta = 1e-6;
  one_budget b({1, delta}, {.of = filter::sum::concentrated});
  const double rho = gaussian_rho(lattice_multiplier(1, delta)) / 4;
  for (int i = 0; i < 4; ++i) b.reserve(concentrated_loss<replace_one>(rho)).commit();
  CHECK(b.spent().epsilon == Approx(1).epsilon(1e-9));
  CHECK(b.spent().epsilon <= 1 + 1e-15);
  CHECK(b.spent().delta == delta);
  CHECK_THROWS_AS(b.reserve(concentrated_loss<replace_one>(rho / 100)), budget_exhausted);
  CHECK_THROWS_AS(b.reserve(approximate_loss<replace_one>(0.01, 1e-12)), std::invalid_argument);
  one_budget mixed({3, delta}, {.of = filter::sum::concentrated});
  mixed.reserve(approximate_loss<replace_one>(0.2)).commit();
  mixed.reserve(gaussian_loss<replace_one>(5)).commit();
  CHECK(mixed.spent().epsilon == Approx(concentrated_epsilon(0.02 + 0.02, delta)).epsilon(1e-12));
  CHECK(one_budget({1, delta}, {.of = filter::sum::concentrated}).spent() == epsilon_delta{0, 0});
}

TEST_CASE("a Renyi sum stays at its order") {
  budget<add_or_remove> b({3, 1e-5}, {.of = filter::sum::renyi, .order = 8});
  const auto step = sampled_gaussian_loss(0.01, 1);
  for (int i = 0; i < 1000; ++i) b.reserve(step).commit();
  CHECK(b.spent().epsilon == Approx(2.107753075).epsilon(1e-9));  // where 8 is the best order
  CHECK(b.spent().delta == 1e-5);
  budget<add_or_remove> other({3, 1e-5}, {.of = filter::sum::renyi, .order = 32});
  CHECK_THROWS_AS(other.reserve(step), budget_exhausted);
  CHECK_THROWS_AS(b.reserve(approximate_loss<add_or_remove>(0.1, 1e-9)), std::invalid_argument);
}

TEST_CASE("a plan's steps are there as often as planned, in any order, and nothing else") {
  const auto a = approximate_loss<replace_one>(0.1), c = concentrated_loss<replace_one>(0.01);
  const auto plan = plan_best_order<replace_one>({{a, 2}, {c, 1}}, 1e-6);
  CHECK_THROWS_AS(one_budget({plan.cost.epsilon * 0.99, 1e-6}, plan), budget_exhausted);
  CHECK_THROWS_AS(one_budget({plan.cost.epsilon, 0.9e-6}, plan), budget_exhausted);
  one_budget b({plan.cost.epsilon, 1e-6}, plan);
  CHECK(b.reserved() == epsilon_delta{0, 0});
  auto first = b.reserve(a);
  CHECK(b.reserved() == plan.cost);
  CHECK(b.spent() == epsilon_delta{0, 0});
  first.commit();
  CHECK(b.spent() == plan.cost);
  CHECK_THROWS_AS(b.reserve(approximate_loss<replace_one>(0.05)), budget_exhausted);  // less is another step, too
  b.reserve(c).commit();
  b.reserve(a).commit();
  CHECK_THROWS_AS(b.reserve(a), budget_exhausted);
  CHECK_THROWS_WITH(b.reserve(c), "hone::privacy::budget: no step that is left of the plan has this cost");
  CHECK(b.spent() == plan.cost);
}

TEST_CASE("a reservation is committed once, by who holds it; a record that fails leaves it uncommitted") {
  one_budget b({1, 0});
  auto first = b.reserve(approximate_loss<replace_one>(0.1));
  auto moved = std::move(first);
  CHECK_THROWS_WITH(first.commit(), "hone::privacy::budget::reservation::commit: reservation: was moved from");
  moved.commit();
  CHECK_THROWS_WITH(moved.commit(), "hone::privacy::budget::reservation::commit: reservation: is committed already");
  CHECK(b.spent().epsilon == 0.1);

  struct book {
    int entries = 0;
    bool full = false;
  } kept;
  const auto write = [](void* context, const loss_curve<replace_one>& curve) {
    auto& record = *static_cast<book*>(context);
    if (record.full) throw std::runtime_error("full");
    record.entries += curve.basic.epsilon == 0.25 ? 1 : 100;
  };
  one_budget recorded({1, 0}, filter{}, {&kept, write});
  auto one = recorded.reserve(approximate_loss<replace_one>(0.25));
  CHECK(kept.entries == 0);
  one.commit();
  CHECK(kept.entries == 1);
  auto two = recorded.reserve(approximate_loss<replace_one>(0.25));
  kept.full = true;
  CHECK_THROWS_AS(two.commit(), std::runtime_error);
  CHECK(!two.committed());
  CHECK(recorded.spent().epsilon == 0.25);
  CHECK(recorded.reserved().epsilon == 0.5);
  one_budget planned({1, 1e-6}, plan_optimal(approximate_loss<replace_one>(0.25), 2, 1e-6), {&kept, write});
  kept.full = false;
  planned.reserve(approximate_loss<replace_one>(0.25)).commit();
  CHECK(kept.entries == 2);
}

TEST_CASE("threads together never get more than the total") {
  one_budget b({1, 0});
  std::atomic<int> released{0}, waiting{8};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      for (--waiting; waiting > 0;) std::this_thread::yield();
      for (int i = 0; i < 20000; ++i) released += takes(b, 0x1p-16);
      for (int i = 0; i < 100; ++i) b.reserve(approximate_loss<replace_one>(0)).commit();
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(released == 1 << 16);
  CHECK(b.reserved().epsilon == 1);
  CHECK(b.spent().epsilon == 0);
}

TEST_CASE("totals and filters that cannot be are refused") {
  for (const double bad : {-1e-9, privacy::detail::infinite, std::nan("")}) {
    CHECK_THROWS_AS(one_budget({bad, 0}), std::invalid_argument);
    CHECK_THROWS_AS(one_budget({1, bad}), std::invalid_argument);
    CHECK_THROWS_AS(one_budget({1, 1e-6}, {.of = filter::sum::renyi, .order = bad}), std::invalid_argument);
  }
  CHECK_THROWS_AS(one_budget({1, 1}), std::invalid_argument);
  CHECK_THROWS_AS(one_budget({1, 0}, {.of = filter::sum::concentrated}), std::invalid_argument);
  CHECK_THROWS_AS(one_budget({1, 0}, {.of = filter::sum::renyi, .order = 2}), std::invalid_argument);
  CHECK_THROWS_AS(one_budget({1, 1e-6}, {.of = filter::sum::renyi, .order = 1}), std::invalid_argument);
  CHECK_THROWS_AS(one_budget({-1, 0}, fixed_plan<replace_one>{}), std::invalid_argument);
  one_budget none({0, 0});
  CHECK_THROWS_AS(none.reserve(approximate_loss<replace_one>(1e-300)), budget_exhausted);
  CHECK_THROWS_WITH(none.reserve(concentrated_loss<replace_one>(1)),
                    "hone::privacy::budget: curve: has no epsilon without a delta");
}
