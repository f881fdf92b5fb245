#pragma once

/** Prints `busgate-bench: <message>` on stderr and exits 1. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

/** As fail(), with the text of errno. */
__attribute__((noreturn, format(printf, 1, 2))) void fail_errno(const char *format, ...);
