// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The ranks of an MPI program. Elements travel as bytes, point to point, and are added here, in the order of
/// `add_ranks`: sums do not depend on the MPI library, 16-bit elements are summed in float, and no count is an int.
#pragma once
// The C++ bindings, gone from the standard since 2012, would be included by default.
#if !defined(OMPI_SKIP_MPICXX)
#define OMPI_SKIP_MPICXX 1
#endif
#if !defined(MPICH_SKIP_MPICXX)
#define MPICH_SKIP_MPICXX 1
#endif
#include "hone/distributed/communicator.hpp"

#include <algorithm>
#include <vector>

#include <mpi.h>

namespace HONE_NAMESPACE::distributed {

/// A duplicate of an MPI communicator, so that no message of the program's meets one of these. MPI must be initialised
/// before and finalised after; one thread at a time.
class mpi {
 public:
  /// @param most_elements in one message of `reduce_scatter`, which holds size() messages in memory; 0: 4 Mi in all.
  /// @throws std::invalid_argument if @p most_elements is negative; std::runtime_error, here and below, if MPI reports
  ///         an error.
  explicit mpi(MPI_Comm comm = MPI_COMM_WORLD, index_t most_elements = 0) : most_(most_elements) {
    invalid_argument_unless(most_elements >= 0, "hone::distributed::mpi", "most_elements",
                            "must not be negative, is %td", most_elements);
    succeed(MPI_Comm_dup(comm, &comm_));
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    int value = 0;
    MPI_Comm_rank(comm_, &value);
    rank_ = value;
    MPI_Comm_size(comm_, &value);
    size_ = value;
    if (most_ == 0) most_ = (max)(block_size, (index_t{1} << 22) / size_);
    most_ = (min)(most_, index_t{1} << 27);
  }
  mpi(const mpi&) = delete;
  mpi& operator=(const mpi&) = delete;
  ~mpi() { MPI_Comm_free(&comm_); }

  [[nodiscard]] index_t rank() const { return rank_; }
  [[nodiscard]] index_t size() const { return size_; }

  void all_reduce(std::span<double> x) {
    for (std::size_t at = 0, step = 0; at < x.size(); at += step) {
      step = (min)(x.size() - at, std::size_t{1} << 27);
      succeed(MPI_Allreduce(MPI_IN_PLACE, x.data() + at, static_cast<int>(step), MPI_DOUBLE, MPI_SUM, comm_));
    }
  }

  /// @note Every rank sends n - n/P elements and receives as many, n/P from each other rank.
  template <scalar T>
  void reduce_scatter(std::span<T> x, std::span<const index_t> borders) {
    detail::check_borders(borders, static_cast<index_t>(x.size()), size_, "hone::distributed::mpi::reduce_scatter");
    const std::span<T> own = detail::part(x, borders, rank_);
    std::vector<T> received(static_cast<std::size_t>(size_ * (min)(most_, static_cast<index_t>(own.size()))));
    std::vector<const T*> source(static_cast<std::size_t>(size_));
    const index_t longest = longest_part(borders);
    for (index_t at = 0; at < longest; at += most_) {
      const std::span<T> mine = message(own, at);
      for (index_t r = 0; r < size_; ++r) {
        T* const place = received.data() + r * static_cast<index_t>(mine.size());
        source[static_cast<std::size_t>(r)] = r == rank_ ? mine.data() : place;
        if (r == rank_) continue;
        receive(std::span<T>(place, mine.size()), r);
        send(message(detail::part(x, borders, r), at), r);
      }
      wait();
      add_ranks<T>(source, mine);
    }
  }

  /// @note Every rank sends its part to each other rank.
  template <scalar T>
  void all_gather(std::span<T> x, std::span<const index_t> borders) {
    detail::check_borders(borders, static_cast<index_t>(x.size()), size_, "hone::distributed::mpi::all_gather");
    const index_t longest = longest_part(borders);
    for (index_t at = 0; at < longest; at += most_) {
      for (index_t r = 0; r < size_; ++r) {
        if (r == rank_) continue;
        receive(message(detail::part(x, borders, r), at), r);
        send(message(detail::part(x, borders, rank_), at), r);
      }
      wait();
    }
  }

  /// @note `MPI_Alltoall`, unless a part has 2 GiB or more.
  template <plain T>
  void all_to_all(std::type_identity_t<std::span<const T>> x, std::span<T> y) {
    detail::check_equal_parts(x.size(), y.size(), size_, "hone::distributed::mpi::all_to_all");
    const auto size = static_cast<std::size_t>(size_);
    if (const std::size_t bytes = x.size_bytes() / size; bytes < std::size_t{1} << 31) {
      const auto count = static_cast<int>(bytes);
      succeed(MPI_Alltoall(x.data(), count, MPI_BYTE, y.data(), count, MPI_BYTE, comm_));
      return;
    }
    std::vector<index_t> borders(size + 1);
    for (std::size_t r = 0; r <= size; ++r) borders[r] = static_cast<index_t>(x.size() / size * r);
    all_to_all<T>(x, borders, y, borders);
  }

  /// @pre Part s of this rank's y has as many elements as part rank() of x on rank s (`receive_borders`).
  /// @note Messages between pairs, none for an empty part.
  template <plain T>
  void all_to_all(std::type_identity_t<std::span<const T>> x, std::span<const index_t> from, std::span<T> y,
                  std::span<const index_t> to) {
    const char* function = "hone::distributed::mpi::all_to_all";
    detail::check_borders(from, static_cast<index_t>(x.size()), size_, function);
    detail::check_borders(to, static_cast<index_t>(y.size()), size_, function);
    // Ranks whose parts are short are done sooner: nobody waits for a message that has no elements.
    const index_t longest = (max)(longest_part(from), longest_part(to));
    for (index_t at = 0; at < longest; at += most_) {
      for (index_t r = 0; r < size_; ++r) {
        if (r == rank_) continue;
        receive(message(detail::part(y, to, r), at), r);
        send(message(detail::part(x, from, r), at), r);
      }
      wait();
    }
    const auto own = detail::part(x, from, rank_);
    std::copy(own.begin(), own.end(), detail::part(y, to, rank_).begin());
  }

 private:
  static void succeed(int code) {
    if (code == MPI_SUCCESS) return;
    char message[MPI_MAX_ERROR_STRING + 1] = {};
    int length = 0;
    MPI_Error_string(code, message, &length);
    HONE_THROW(std::runtime_error(message));
  }

  static index_t longest_part(std::span<const index_t> borders) {
    index_t longest = 0;
    for (std::size_t r = 1; r < borders.size(); ++r) longest = (max)(longest, borders[r] - borders[r - 1]);
    return longest;
  }

  template <class T>
  std::span<T> message(std::span<T> part, index_t at) const {
    const auto size = static_cast<index_t>(part.size());
    if (at >= size) return {};
    return part.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>((min)(most_, size - at)));
  }

  template <class T>
  void receive(std::span<T> x, index_t from) {
    if (!x.empty())
      succeed(MPI_Irecv(x.data(), static_cast<int>(x.size_bytes()), MPI_BYTE, static_cast<int>(from), 0, comm_,
                        &pending_.emplace_back()));
  }
  template <class T>
  void send(std::span<T> x, index_t to) {
    if (!x.empty())
      succeed(MPI_Isend(x.data(), static_cast<int>(x.size_bytes()), MPI_BYTE, static_cast<int>(to), 0, comm_,
                        &pending_.emplace_back()));
  }
  void wait() {
    succeed(MPI_Waitall(static_cast<int>(pending_.size()), pending_.data(), MPI_STATUSES_IGNORE));
    pending_.clear();
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  index_t rank_ = 0;
  index_t size_ = 1;
  index_t most_;
  std::vector<MPI_Request> pending_;
};

}  // namespace HONE_NAMESPACE::distributed
