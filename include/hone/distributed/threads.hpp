// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Ranks that are threads of one process, for one process with many devices and for tests.
#pragma once
#include "hone/distributed/communicator.hpp"
#include "hone/distributed/digest.hpp"

#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace HONE_NAMESPACE::distributed {

class threads;

/// The ranks of one process. `run` makes a thread for each, the caller being rank 0.
class thread_ranks {
 public:
  /// @throws std::invalid_argument unless @p size is in [1, 4096].
  explicit thread_ranks(index_t size) : size_(size) {
    invalid_argument_unless(size >= 1 && size <= 4096, "hone::distributed::thread_ranks", "size",
                            "must be in [1, 4096], is %td", size);
    slots_.resize(static_cast<std::size_t>(size));
  }
  thread_ranks(const thread_ranks&) = delete;
  thread_ranks& operator=(const thread_ranks&) = delete;

  [[nodiscard]] index_t size() const { return size_; }

  /// f(threads&) on every rank; returns when all have. When one throws, those that wait for it throw too, and the first
  /// exception reaches the caller.
  template <class F>
  void run(F&& f);

 private:
  friend class threads;

  /// What a rank brings to a collective.
  struct slot {
    std::string_view function{}, element{};
    const void* data = nullptr;
    std::size_t size = 0;
    std::span<const index_t> borders{};
    // What it takes of an exchange.
    bool room = true;
    std::size_t received = 0;
    std::span<const index_t> to{};
  };

  /// Returns when all ranks have come.
  void meet() {
    const unsigned turn = turn_;
    if (arrived_.fetch_add(1) + 1 == size_) {
      arrived_ = 0;
      turn_.fetch_add(1);
      turn_.notify_all();
    } else {
      while (turn_ == turn && !broken_) turn_.wait(turn);
    }
    if (broken_) HONE_THROW(std::runtime_error("hone::distributed::threads: another rank has failed"));
  }

  void give_up() {
    broken_ = true;
    turn_.fetch_add(1);
    turn_.notify_all();
  }

  index_t size_;
  std::vector<slot> slots_;
  std::atomic<index_t> arrived_ = 0;
  std::atomic<unsigned> turn_ = 0;
  std::atomic<bool> broken_ = false;
};

/// One rank of `thread_ranks`: for the thread that plays it.
class threads {
 public:
  /// @throws std::invalid_argument unless @p rank is in [0, size).
  threads(thread_ranks& all, index_t rank) : all_(&all), rank_(rank) {
    invalid_argument_unless(rank >= 0 && rank < all.size(), "hone::distributed::threads", "rank",
                            "must be in [0, %td), is %td", all.size(), rank);
  }

  [[nodiscard]] index_t rank() const { return rank_; }
  [[nodiscard]] index_t size() const { return all_->size_; }

  /// @throws std::invalid_argument on all ranks if they are in different functions, bring elements of different types
  ///         or sizes that do not fit; so do the others.
  void all_reduce(std::span<double> x) {
    const auto source = bring<double>(x, {}, "hone::distributed::threads::all_reduce");
    std::vector<double> sum(x.size());
    add_ranks<double>(source, sum);
    all_->meet();
    copy(sum, x);
  }

  template <scalar T>
  void reduce_scatter(std::span<T> x, std::span<const index_t> borders) {
    const char* function = "hone::distributed::threads::reduce_scatter";
    detail::check_borders(borders, static_cast<index_t>(x.size()), size(), function);
    auto source = bring<T>(x, borders, function);
    for (const T*& data : source) data += borders[static_cast<std::size_t>(rank_)];
    add_ranks<T>(source, detail::part(x, borders, rank_));
    all_->meet();
  }

  template <scalar T>
  void all_gather(std::span<T> x, std::span<const index_t> borders) {
    const char* function = "hone::distributed::threads::all_gather";
    detail::check_borders(borders, static_cast<index_t>(x.size()), size(), function);
    const auto source = bring<T>(x, borders, function);
    for (index_t r = 0; r < size(); ++r)
      if (r != rank_)
        copy(detail::part(std::span<const T>(source[static_cast<std::size_t>(r)], x.size()), borders, r),
             detail::part(x, borders, r));
    all_->meet();
  }

  template <plain T>
  void all_to_all(std::type_identity_t<std::span<const T>> x, std::span<T> y) {
    std::vector<index_t> from{0}, to{0};
    // Parts that are not equal fit nobody's.
    const auto ranks = static_cast<std::size_t>(size());
    for (std::size_t r = 1; r <= ranks; ++r) {
      from.push_back(static_cast<index_t>(x.size() * r / ranks));
      to.push_back(static_cast<index_t>(y.size() / ranks * r));
    }
    all_to_all<T>(x, from, y, to);
  }

  template <plain T>
  void all_to_all(std::type_identity_t<std::span<const T>> x, std::span<const index_t> from, std::span<T> y,
                  std::span<const index_t> to) {
    const char* function = "hone::distributed::threads::all_to_all";
    const bool room = y.data() != nullptr || y.empty();
    show({function, detail::name_of<T>(), x.data(), x.size(), from, room, y.size(), to});
    const auto& all_slots = all_->slots_;
    const std::size_t ranks = all_slots.size();
    bool fits = true;
    for (const auto& s : all_slots)
      fits = fits && alike(s) && s.room && detail::borders_fit(s.borders, s.size, size()) &&
             detail::borders_fit(s.to, s.received, size());
    for (std::size_t s = 0; fits && s < ranks; ++s)
      for (std::size_t r = 0; fits && r < ranks; ++r)
        fits = all_slots[s].borders[r + 1] - all_slots[s].borders[r] == all_slots[r].to[s + 1] - all_slots[r].to[s];
    agree(fits, function, "x", "a rank's parts are not what another is to receive, or one has no memory");
    for (std::size_t s = 0; s < ranks; ++s) {
      const std::span all(static_cast<const T*>(all_slots[s].data), all_slots[s].size);
      const auto part = detail::part(all, all_slots[s].borders, rank_);
      const auto place = detail::part(y, to, static_cast<index_t>(s));
      for (std::size_t i = 0; i < part.size(); ++i) place[i] = part[i];
    }
    all_->meet();
  }

 private:
  /// Returns when all have shown what they bring.
  void show(const thread_ranks::slot& own) {
    all_->slots_[static_cast<std::size_t>(rank_)] = own;
    all_->meet();
  }

  /// Whether a rank that brings @p slot is called as rank 0 is.
  [[nodiscard]] bool alike(const thread_ranks::slot& slot) const {
    const auto& zero = all_->slots_[0];
    return slot.function == zero.function && slot.element == zero.element && (slot.data != nullptr || slot.size == 0);
  }

  /// Throws on all ranks unless it @p fits, which each has found out by itself.
  void agree(bool fits, const char* function, const char* argument, const char* reason) {
    if (!fits) all_->meet();  // the others read the slots too
    invalid_argument_unless(fits, function, argument, "%s", reason);
  }

  /// Shows @p x to the others and returns theirs, once all are there.
  template <class T>
  std::vector<const T*> bring(std::span<T> x, std::span<const index_t> borders, const char* function) {
    show({function, detail::name_of<T>(), x.data(), x.size(), borders});
    std::vector<const T*> source;
    const auto& zero = all_->slots_[0];
    bool fits = true;
    for (const auto& slot : all_->slots_) {
      source.push_back(static_cast<const T*>(slot.data));
      fits = fits && alike(slot) && slot.size == zero.size && slot.borders.size() == zero.borders.size();
      for (std::size_t r = 0; fits && r < zero.borders.size(); ++r) fits = slot.borders[r] == zero.borders[r];
    }
    agree(fits, function, "x", "functions, types, sizes or borders differ between ranks, or one has no memory");
    return source;
  }

  thread_ranks* all_;
  index_t rank_;
};

template <class F>
void thread_ranks::run(F&& f) {
  [[maybe_unused]] std::exception_ptr error;
  [[maybe_unused]] std::atomic<bool> failed = false;
  const auto play = [&](index_t rank) {
    threads self(*this, rank);
#if defined(__cpp_exceptions)
    try {
      f(self);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
      give_up();
    }
#else
    f(self);
#endif
  };
  std::vector<std::thread> helpers;
  for (index_t r = 1; r < size_; ++r) helpers.emplace_back(play, r);
  play(0);
  for (std::thread& t : helpers) t.join();
  arrived_ = 0;
  broken_ = false;
#if defined(__cpp_exceptions)
  if (error) std::rethrow_exception(error);
#endif
}

}  // namespace HONE_NAMESPACE::distributed
