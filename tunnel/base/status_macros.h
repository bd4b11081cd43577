// Early return on an error that is an absl::Status.

#ifndef TUNNEL_BASE_STATUS_MACROS_H_
#define TUNNEL_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Evaluates `expr` (an absl::Status) once; returns it from the calling function
// unless it is OK.
#define RETURN_IF_ERROR(expr)                                       \
  do {                                                              \
    if (absl::Status tunnel_status_ = (expr); !tunnel_status_.ok()) \
      return tunnel_status_;                                        \
  } while (false)

// Evaluates `expr` (an absl::StatusOr<T>) once; returns its status unless it is
// OK, else moves the value into `lhs`, which may declare a variable. An `lhs`
// with a comma must stand in parentheses of a type alias.
#define ASSIGN_OR_RETURN(lhs, expr)                                          \
  TUNNEL_ASSIGN_OR_RETURN_(TUNNEL_CONCAT_(tunnel_status_or_, __LINE__), lhs, \
                           expr)

#define TUNNEL_ASSIGN_OR_RETURN_(result, lhs, expr)    \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = std::move(result).value()
#define TUNNEL_CONCAT_(a, b) TUNNEL_CONCAT_INNER_(a, b)
#define TUNNEL_CONCAT_INNER_(a, b) a##b

#endif  // TUNNEL_BASE_STATUS_MACROS_H_
