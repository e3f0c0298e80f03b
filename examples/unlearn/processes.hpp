// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The processes of one run: this one alone, or those that mpirun started, each of which does a share of every batch.
#pragma once
#include "hone/distributed/replicated.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>

#if defined(HONE_EXAMPLES_MPI)
#include "hone/distributed/mpi.hpp"
#endif

namespace unlearn {

/// Only rank 0 is heard. An error ends all ranks, once it was told.
class processes {
 public:
  /// @throws std::runtime_error if MPI is asked for and the program was built without.
  explicit processes([[maybe_unused]] bool mpi) {
#if defined(HONE_EXAMPLES_MPI)
    if (!mpi) return;
    MPI_Init(nullptr, nullptr);
    comm_.emplace();
    if (rank() == 0) return;
    for (std::FILE* out : {stdout, stderr})
      if (std::freopen("/dev/null", "w", out) == nullptr) std::abort();
#else
    if (mpi) throw std::runtime_error("--mpi: this program was built without MPI");
#endif
  }
  processes(const processes&) = delete;
  processes& operator=(const processes&) = delete;
  ~processes() {
#if defined(HONE_EXAMPLES_MPI)
    if (!comm_) return;
    if (std::uncaught_exceptions() > 0) {
      std::atexit([] { MPI_Abort(MPI_COMM_WORLD, 1); });  // the others may be waiting for this one
      return;
    }
    comm_.reset();
    MPI_Finalize();
#endif
  }

#if defined(HONE_EXAMPLES_MPI)
  [[nodiscard]] hone::index_t rank() const { return comm_ ? comm_->rank() : 0; }
  [[nodiscard]] hone::index_t size() const { return comm_ ? comm_->size() : 1; }
#else
  [[nodiscard]] static hone::index_t rank() { return 0; }
  [[nodiscard]] static hone::index_t size() { return 1; }
#endif

  /// x <- the sum over the ranks.
  template <class T>
  void sum([[maybe_unused]] std::span<T> x) {
#if defined(HONE_EXAMPLES_MPI)
    if (comm_) hone::distributed::sum_over_ranks(x, *comm_);
#endif
  }
  /// Whether any rank says so.
  bool any(bool here) {
    double flag = here ? 1 : 0;
    sum(std::span(&flag, 1));
    return flag > 0;
  }

 private:
#if defined(HONE_EXAMPLES_MPI)
  std::optional<hone::distributed::mpi> comm_;
#endif
};

}  // namespace unlearn
