-- What INFO says of this server; asked once where it is kept between calls, as a function's is.
local server
