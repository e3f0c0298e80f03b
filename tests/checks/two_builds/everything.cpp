// A function of each floor, as a unit of its own name.
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/statistics/bootstrap.hpp"

#include <vector>

double UNIT(std::vector<float>& x, const std::vector<std::int32_t>& y) {
  using namespace hone;
  std::vector<float> f = x, m(x.size()), v(x.size());
  gradient::combine(gradient::sago{}, gradient::tasks(f, x), x);
  gradient::combine(gradient::pcgrad{}, gradient::tasks(f, x), gradient::adamw(x, m, v, 1));
  philox random{1};
  const auto mean = [&](std::span<const index_t> items) { return static_cast<double>(items[0]); };
  return loss::likelihood(matrix_view<float>(x.data(), 1, 4), y).sum + random.normal(3) +
         statistics::bootstrap(3, mean, {.replicates = 9}).standard_error;
}
