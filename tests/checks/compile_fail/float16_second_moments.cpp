// expect: float16 second moments underflow
#include "hone/gradient/adamw.hpp"

#include <vector>

#ifdef HONE_CHECK_OK
using moment = hone::bfloat16;
#else
using moment = hone::float16;
#endif

void f(std::vector<float>& p, std::vector<float>& m, std::vector<moment>& v) {
  (void)hone::gradient::adamw(p, m, v, 1);
}
