// expect: not a vector of numbers in memory
#include "hone/core/view.hpp"

#include <vector>

#ifdef HONE_CHECK_OK
using number = float;
#else
using number = int;
#endif

void f(std::vector<number>& x) { (void)hone::as_vector(x); }
