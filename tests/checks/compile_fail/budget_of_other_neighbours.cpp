// expect: the loss is for other neighbours than the budget
#include "hone/privacy/budget.hpp"

using namespace hone::privacy;

#ifdef HONE_CHECK_OK
using neighbours = add_or_remove;
#else
using neighbours = replace_one;
#endif

void f(budget<neighbours>& b) { b.reserve(sampled_gaussian_loss(0.01, 1)).commit(); }
