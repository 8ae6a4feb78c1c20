#!/bin/sh
# Unpacks the peers that cannot be installed beside each other (they all are "the" mail server to
# Debian) into a folder of their own, where `ringload compare --peers-dir` finds them.
#
#     loadtest/peers/fetch.sh [DIR]        (DIR is /opt/ringload-peers when it is not given)
#
# Nothing of them is started or configured. As root it also installs the libraries they need and
# adds the system users they run as; without root it unpacks only. Haraka comes from npm.
set -eu

directory=${1:-/opt/ringload-peers}
packages='exim4-base exim4-daemon-light opensmtpd'
mkdir -p "$directory"
# The servers' own users go through it; mktemp's own folder is of its owner alone.
chmod 755 "$directory"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

add_user() {
    getent passwd "$1" >/dev/null || useradd --system --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin --user-group "$1"
}

# The names of the packages a package cannot run without, without the ones that are mail servers
# or only serve their installation.
libraries() {
    dpkg-deb --field "$1" Depends | tr ',' '\n' | sed 's/[|(:].*//; s/ //g' | grep '^lib'
}

(cd "$work" && apt-get download $packages)
for package in "$work"/*.deb; do
    name=$(dpkg-deb --field "$package" Package)
    rm -rf "${directory:?}/$name"
    dpkg-deb --extract "$package" "$directory/$name"
    # Nothing that is only measured may give anyone root.
    find "$directory/$name" -type f -perm /6000 -exec chmod ug-s '{}' +
    # The libraries are plain dependencies: no mail server of the machine is touched.
    if [ "$(id -u)" = 0 ]; then
        apt-get install --yes --no-install-recommends $(libraries "$package")
    fi
done

if [ "$(id -u)" = 0 ]; then
    add_user Debian-exim
    # The two names are compiled into Debian's smtpd, as is its chroot.
    add_user opensmtpd
    add_user opensmtpq
    mkdir -p /var/lib/opensmtpd/empty
fi

if command -v npm >/dev/null; then
    npm install --prefix "$directory/haraka" --omit=optional --no-audit --no-fund Haraka@3
else
    echo 'npm is not installed: Haraka is left out.' >&2
fi
echo "The peers are in $directory."
