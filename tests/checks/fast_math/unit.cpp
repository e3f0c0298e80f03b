#include "unit.hpp"

#include "hone/loss/likelihood.hpp"

double loss_and_gradient(float* logits, std::ptrdiff_t rows, std::ptrdiff_t vocabulary, const std::int32_t* targets) {
  return hone::loss::likelihood(hone::matrix_view(logits, rows, vocabulary),
                                std::span(targets, static_cast<std::size_t>(rows)))
      .sum;
}
