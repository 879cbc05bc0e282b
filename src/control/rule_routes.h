// The routes of the API that change the rules and tell about their versions (docs/reference/openapi.json).
#pragma once

#include "api/router.h"
#include "control/rulebook.h"

namespace ringplane::control {

/// `book` must outlive `router`.
void add_rule_routes(api::Router& router, Rulebook& book);

}  // namespace ringplane::control
