// The data process: all that touches packets, in a process of its own without rights (sandbox.h). It is started by the
// control process, gets everything it needs over a socket (start_order.h), and goes on when the control process dies;
// the next one comes to the same socket. Its main thread answers, writes the log and watches links; workers do the
// rest.
#pragma once

namespace ringplane::control {

/// The body of the process; `listener` is the socket at which control processes come in. Returns the exit code. What it
/// has to say before it runs goes to who started it, later to standard error.
[[nodiscard]] int run_data_process(int listener);

}  // namespace ringplane::control
