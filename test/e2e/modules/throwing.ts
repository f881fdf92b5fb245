// A module whose import fails.
throw new Error('no luck');
