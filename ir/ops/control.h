// The gradients of control ops; their records are in control.cpp.
#pragma once

#include "ir/vjp.h"

namespace lathe {

void vjp_scan(Vjp& v);
void vjp_if_else(Vjp& v);
void vjp_composite(Vjp& v);

}  // namespace lathe
