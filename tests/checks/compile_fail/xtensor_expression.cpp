// expect: xt::eval()
#include "hone/interop/xtensor.hpp"

#include <xtensor/xtensor.hpp>

void f(const xt::xtensor<float, 1>& x) {
#ifdef HONE_CHECK_OK
  (void)hone::as_vector(xt::eval(x + x));
#else
  (void)hone::as_vector(x + x);
#endif
}
