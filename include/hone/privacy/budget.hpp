// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A budget of privacy loss that is spent once: a release reserves its cost before it looks at data, commits it before
/// it shows anything, and gets nothing back. What is reserved and not committed, as the release failed, stays spent.
///
/// Where parameters are chosen after earlier releases only some accountings hold, which are called filters: the sum of
/// epsilons and deltas, the sum of rhos, the sum of r(alpha) at one order that was fixed at the start. [Rogers et al.
/// 2016, Privacy odometers and filters, arXiv 1605.08294; Feldman, Zrnic 2021, arXiv 2008.11193] The others are for a
/// `fixed_plan`.
#pragma once
#include "hone/privacy/fixed_plan.hpp"

#include <mutex>
#include <utility>

namespace HONE_NAMESPACE::privacy {

/// What `budget` throws, before data are read.
class budget_exhausted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Which sum may not exceed the total.
struct filter {
  enum class sum { basic, concentrated, renyi } of = sum::basic;
  double order = 0;  ///< alpha of renyi
};

/// What is called in `commit`, before it is done: a ledger's entry. If it throws, nothing is committed.
template <adjacency Adjacency>
struct commit_record {
  void* context = nullptr;
  void (*write)(void* context, const loss_curve<Adjacency>& curve) = nullptr;
};

namespace detail {

/// A sum in two doubles.
struct long_sum {
  double high = 0, low = 0;

  [[nodiscard]] long_sum plus(double x) const {
    const double sum = high + x, part = sum - high;
    return {sum, low + ((high - (sum - part)) + (x - part))};
  }
  [[nodiscard]] double rounded_up() const { return low == 0 ? high : outward(high + low, 0); }
};

/// Whether @p x is at most @p total, as decimals: ten times the double 0.1 is more than 1, by what rounding 0.1 added.
inline bool fits(long_sum x, double total) { return x.high - total + x.low <= unit * total; }

}  // namespace detail

/// One budget of one relation of neighbours. Any number of threads may reserve and commit.
template <adjacency Adjacency>
class budget {
 public:
  /// The claim on a release's cost. It must not outlive its budget.
  class [[nodiscard]] reservation {
   public:
    reservation(reservation&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), curve_(other.curve_), committed_(other.committed_) {}
    reservation(const reservation&) = delete;
    reservation& operator=(const reservation&) = delete;

    /// Spends it, once. @throws std::invalid_argument the second time, or if it was moved from; what the record throws,
    /// after which nothing may be released.
    void commit() {
      invalid_argument_unless(owner_ != nullptr && !committed_, "hone::privacy::budget::reservation::commit",
                              "reservation", "%s", committed_ ? "is committed already" : "was moved from");
      owner_->commit(curve_);
      committed_ = true;
    }
    [[nodiscard]] bool committed() const { return committed_; }
    [[nodiscard]] const loss_curve<Adjacency>& curve() const { return curve_; }

   private:
    friend budget;
    reservation(budget* owner, const loss_curve<Adjacency>& curve) : owner_(owner), curve_(curve) {}

    budget* owner_;
    loss_curve<Adjacency> curve_;
    bool committed_ = false;
  };

  /// A budget for releases that may depend on each other in any way.
  /// @throws std::invalid_argument unless epsilon is finite and not negative, delta in [0, 1), for other sums than the
  ///         basic one above 0, and the order of a Renyi sum in (1, 1e5].
  explicit budget(epsilon_delta total, filter by = {}, commit_record<Adjacency> record = {})
      : total_(total), filter_(by), record_(record) {
    check(by.of != filter::sum::basic);
    invalid_argument_unless(by.of != filter::sum::renyi || (by.order > 1 && by.order <= 1e5), function, "order",
                            "must be in (1, 1e5], is %g", by.order);
  }
  /// A budget for the steps of @p plan, each as often as it is there, in any order.
  /// @throws std::invalid_argument unless total is as above; budget_exhausted if the plan costs more.
  budget(epsilon_delta total, fixed_plan<Adjacency> plan, commit_record<Adjacency> record = {})
      : total_(total), plan_(std::move(plan)), planned_(true), record_(record) {
    check(false);
    if (!fits({plan_.cost.epsilon}, total.epsilon) || !fits({plan_.cost.delta}, total.delta)) refuse(plan_.cost);
  }
  budget(const budget&) = delete;
  budget& operator=(const budget&) = delete;

  /// Takes the cost of @p curve out of the budget.
  /// @throws budget_exhausted if that is more than is left, or no step of the plan that is left has it;
  ///         std::invalid_argument if the curve has no cost under this accounting.
  reservation reserve(const loss_curve<Adjacency>& curve) {
    const std::lock_guard lock(mutex_);
    if (planned_) {
      for (planned_steps<Adjacency>& step : plan_.steps)
        if (step.curve == curve && step.count > 0) {
          --step.count;
          reserved_.any = true;
          return {this, curve};
        }
      HONE_THROW(budget_exhausted("hone::privacy::budget: no step that is left of the plan has this cost"));
    }
    const tally sum = reserved_.plus(cost(curve));
    const epsilon_delta worth = price(sum);
    if (!fits(sum, worth)) refuse(worth);
    reserved_ = sum;
    return {this, curve};
  }
  template <adjacency Other>
  reservation reserve(const loss_curve<Other>&) {
    static_assert(sizeof(Other) == 0, "hone: the loss is for other neighbours than the budget");
  }

  [[nodiscard]] epsilon_delta total() const { return total_; }
  /// What the committed releases cost together; of a plan, whole once one is committed.
  [[nodiscard]] epsilon_delta spent() const {
    const std::lock_guard lock(mutex_);
    return price(spent_);
  }
  /// The same of all that were reserved, committed or not.
  [[nodiscard]] epsilon_delta reserved() const {
    const std::lock_guard lock(mutex_);
    return price(reserved_);
  }

 private:
  static constexpr const char* function = "hone::privacy::budget";

  /// epsilon and delta, or rho, or r, added up.
  struct tally {
    detail::long_sum loss, delta;
    bool any = false;

    [[nodiscard]] tally plus(epsilon_delta x) const { return {loss.plus(x.epsilon), delta.plus(x.delta), true}; }
  };

  static bool fits(detail::long_sum x, double total) { return detail::fits(x, total); }
  [[nodiscard]] bool fits(const tally& sum, epsilon_delta worth) const {
    if (filter_.of != filter::sum::basic) return fits({worth.epsilon}, total_.epsilon);
    return fits(sum.loss, total_.epsilon) && fits(sum.delta, total_.delta);
  }

  void check(bool needs_delta) const {
    detail::check_epsilon(total_.epsilon, function);
    detail::check_charge(total_.delta, function);
    if (needs_delta) detail::check_delta(total_.delta, function);
  }

  [[nodiscard]] epsilon_delta cost(const loss_curve<Adjacency>& curve) const {
    const epsilon_delta charged = filter_.of == filter::sum::basic ? curve.basic
                                  : filter_.of == filter::sum::concentrated
                                      ? epsilon_delta{concentrated(curve), 0}
                                      : epsilon_delta{renyi(curve, filter_.order), 0};
    invalid_argument_unless(charged.epsilon < detail::infinite, function, "curve", "has no %s",
                            filter_.of == filter::sum::basic          ? "epsilon without a delta"
                            : filter_.of == filter::sum::concentrated ? "rho"
                                                                      : "loss at this order");
    return charged;
  }

  [[nodiscard]] epsilon_delta price(const tally& sum) const {
    if (!sum.any) return {};
    if (planned_) return plan_.cost;
    const double loss = sum.loss.rounded_up();
    switch (filter_.of) {
      case filter::sum::concentrated: return {concentrated_epsilon(loss, total_.delta), total_.delta};
      case filter::sum::renyi: return {renyi_epsilon(filter_.order, loss, total_.delta), total_.delta};
      case filter::sum::basic: break;
    }
    return {loss, sum.delta.rounded_up()};
  }

  [[noreturn]] void refuse(epsilon_delta worth) const {
    char message[200];
    std::snprintf(message, sizeof message,
                  "%s: exhausted: with this release the loss would be epsilon %g, delta %g of %g, %g", function,
                  worth.epsilon, worth.delta, total_.epsilon, total_.delta);
    HONE_THROW(budget_exhausted(message));
  }

  void commit(const loss_curve<Adjacency>& curve) {
    const std::lock_guard lock(mutex_);
    if (record_.write != nullptr) record_.write(record_.context, curve);
    spent_ = planned_ ? tally{{}, {}, true} : spent_.plus(cost(curve));
  }

  mutable std::mutex mutex_;
  epsilon_delta total_;
  filter filter_;
  fixed_plan<Adjacency> plan_;
  bool planned_ = false;
  commit_record<Adjacency> record_;
  tally reserved_, spent_;
};

}  // namespace HONE_NAMESPACE::privacy
