// expect: .eval()
#include "hone/interop/eigen.hpp"

void f(const Eigen::VectorXf& x) {
#ifdef HONE_CHECK_OK
  (void)hone::as_vector((x + x).eval());
#else
  (void)hone::as_vector(x + x);
#endif
}
