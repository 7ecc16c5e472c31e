# Forwards to ./dev, the front door; `make` alone builds.
build: ; @./dev build
%: ; @./dev $@
