# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What is installed beside the command, and the Debian package.

UNITDIR ?= $(PREFIX)/lib/systemd/system
GENERATED := $(B)/packaging/synward.8 $(B)/packaging/synward.conf.5 $(B)/packaging/completion

$(GENERATED): $(B)/packaging/%: $(B)/synward packaging/generate
	$(say) GEN $@
	@mkdir -p $(@D)
	$(Q)packaging/generate $* $(B)/synward > $@

$(B)/packaging/synward.service: packaging/synward.service
	@mkdir -p $(@D)
	$(Q)sed 's#/usr/sbin/synward#$(PREFIX)/sbin/synward#' $< > $@

.PHONY: install-packaging deb
install: install-packaging
install-packaging: $(GENERATED) $(B)/packaging/synward.service
	install -Dm644 $(B)/packaging/synward.8 $(DESTDIR)$(PREFIX)/share/man/man8/synward.8
	install -Dm644 $(B)/packaging/synward.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/synward.conf.5
	install -Dm644 $(B)/packaging/completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/synward
	install -Dm644 $(B)/packaging/synward.service $(DESTDIR)$(UNITDIR)/synward.service
	install -Dm644 packaging/synward.conf $(DESTDIR)$(PREFIX)/share/doc/synward/examples/synward.conf
	install -Dm644 packaging/kubernetes/daemonset.yaml $(DESTDIR)$(PREFIX)/share/doc/synward/examples/daemonset.yaml
	install -m644 packaging/prometheus/* packaging/grafana/* $(DESTDIR)$(PREFIX)/share/doc/synward/examples
	install -m644 docs/*.md docs/*.svg $(DESTDIR)$(PREFIX)/share/doc/synward

# Out of tree: a copy of what git knows (or of all but build/) is the package's source.
DEB := $(B)/deb/synward-$(VERSION)

deb:
	$(Q)packaging/deps deb
	rm -rf $(DEB) && mkdir -p $(DEB)
	{ git ls-files -zco --exclude-standard 2>/dev/null || find . -path ./$(B) -prune -o -type f -print0; } | tar -c --null -T - | tar -x -C $(DEB)
	mv $(DEB)/packaging/debian $(DEB)/debian
	sed -i '1s/(.*)/($(VERSION))/' $(DEB)/debian/changelog
	cd $(DEB) && dpkg-buildpackage -b -us -uc -rfakeroot > ../build.log 2>&1 || { tail -40 ../build.log; exit 1; }
	@ls $(B)/deb/synward_$(VERSION)_*.deb
