// expect: the element types differ
#include "hone/gradient/tasks.hpp"

#include <vector>

#ifdef HONE_CHECK_OK
using other = float;
#else
using other = double;
#endif

void f(const std::vector<float>& a, const std::vector<other>& b) { (void)hone::gradient::tasks(a, b); }
