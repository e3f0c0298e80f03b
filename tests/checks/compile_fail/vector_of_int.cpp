// expect: not a vector of scalars in memory
#include "hone/core/view.hpp"

#include <vector>

#ifdef HONE_CHECK_OK
using element = float;
#else
using element = int;
#endif

void f(std::vector<element>& x) { (void)hone::as_vector(x); }
