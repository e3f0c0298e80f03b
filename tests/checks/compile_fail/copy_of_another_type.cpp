// expect: parameters and copy compute in different types
#include "hone/gradient/with_copy.hpp"

#include <vector>

#ifdef HONE_CHECK_OK
using parameter = float;
#else
using parameter = double;
#endif

void f(std::vector<parameter>& p, std::vector<hone::bfloat16>& copy) { (void)hone::gradient::with_copy(p, copy); }
