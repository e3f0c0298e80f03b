// expect: hone/interop/eigen.hpp
#include <Eigen/Core>

#ifdef HONE_CHECK_OK
#include "hone/interop/eigen.hpp"
#else
#include "hone/core/view.hpp"
#endif

void f(Eigen::VectorXf& x) { (void)hone::as_vector(x); }
