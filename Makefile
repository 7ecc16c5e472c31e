# Forwards to ./dev, the front door; `make` alone builds. PREFIX and DESTDIR reach `make install`.
.PHONY: build FORCE
build: ; @./dev build
%: FORCE ; @./dev $@
FORCE: ;
Makefile: ;
