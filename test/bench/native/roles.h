#pragma once

/**
 * Opens clients, publishes to their rooms through Redis, and prints one line of JSON with what they saw and what it cost the server.
 * In it times are microseconds, memory KiB, shares of one core from 0 to 1.
 */
int role_load(char **arguments);

/** A server that does nothing but write prepared frames: what a delivery costs at least. */
int role_floor(char **arguments);
