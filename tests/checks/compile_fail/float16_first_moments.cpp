// expect: float16 first moments underflow
#include "hone/interop/eigen.hpp"

#include "hone/gradient/adamw.hpp"

#include <vector>

#ifdef HONE_CHECK_OK
using moment = float;
#else
using moment = Eigen::half;
#endif

void f(std::vector<float>& p, Eigen::Matrix<moment, Eigen::Dynamic, 1>& m, std::vector<float>& v) {
  (void)hone::gradient::adamw(p, m, v, 1);
}
