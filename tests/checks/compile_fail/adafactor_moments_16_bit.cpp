// expect: the moments are in the accumulator type
#include "hone/gradient/adafactor.hpp"

#include "hone/gradient/combine.hpp"

#include <vector>

#ifdef HONE_CHECK_OK
using moment = float;
#else
using moment = hone::bfloat16;
#endif

void f(hone::matrix_view<float> p, std::vector<moment>& row, std::vector<float>& col) {
  (void)hone::gradient::adafactor(p, row, col, 1, [](hone::index_t, hone::index_t, auto&&) {});
}
