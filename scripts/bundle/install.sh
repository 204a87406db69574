#!/bin/sh
# Installs Shoal from the folder that this script lies in. It needs no network, and starts nothing.
#   ./install.sh                 as root: into /opt/shoal, programs linked from /usr/local/bin, a system unit for systemd
#                                else: into ~/.local/share/shoal, programs linked from ~/.local/bin, a user unit
#   ./install.sh --user          the latter, as root too
#   ./install.sh --prefix DIR    into DIR instead
#   ./install.sh --no-unit       no unit for systemd
#   ./install.sh --uninstall     takes all of that away again; your keys and packed weights stay
set -eu

say() { printf '%s\n' "$*"; }
fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

here=$(cd "$(dirname "$0")" && pwd -P)
parts='bin lib share README.md LICENSE install.sh'
if [ "$(id -u)" = 0 ]; then mode=system; else mode=user; fi
prefix='' action=install unit=yes
while [ $# -gt 0 ]; do
  case $1 in
    --user) mode=user ;;
    --prefix)
      [ $# -ge 2 ] || fail '--prefix needs a folder'
      prefix=$2
      shift
      ;;
    --no-unit) unit=no ;;
    --uninstall) action=uninstall ;;
    -h | --help)
      sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) fail "unknown argument \"$1\"; see ./install.sh --help" ;;
  esac
  shift
done

if [ $mode = system ]; then
  default=/opt/shoal links=/usr/local/bin units=/etc/systemd/system shares=/usr/local/share
  systemctl=systemctl
  configuration=/etc/shoal/shoal-node.toml
  kept='/etc/shoal, /var/lib/shoal, /var/cache/shoal'
else
  : "${HOME:?is not set}"
  default=${XDG_DATA_HOME:-$HOME/.local/share}/shoal
  links=$HOME/.local/bin
  units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
  shares=${XDG_DATA_HOME:-$HOME/.local/share}
  systemctl='systemctl --user'
  configuration=${XDG_CONFIG_HOME:-$HOME/.config}/shoal/shoal-node.toml
  kept="${configuration%/*}, ~/.local/state/shoal, ~/.cache/shoal"
fi
# An installed copy of this script takes away the installation that it belongs to.
if [ -z "$prefix" ] && [ $action = uninstall ] && [ -f "$here/.shoal" ]; then prefix=$here; fi
prefix=${prefix:-$default}
case $prefix in
  /*) ;;
  *) prefix=$(pwd -P)/$prefix ;;
esac
case $prefix in
  *[!A-Za-z0-9/._+-]*) fail "$prefix: choose a folder of letters, digits and / . _ + - only" ;;
esac
unit_file=$units/shoal-node.service

# Manual pages and completions, linked to where shells and man look for them.
texts() { (cd "$1/share" && find man bash-completion zsh fish -type f 2>/dev/null || true); }

is_ours() { [ "$(readlink "$links/$1" 2>/dev/null)" = "$prefix/bin/$1" ]; }
unit_is_ours() { [ -f "$unit_file" ] && grep -q "^ExecStart=$prefix/bin/shoal-node " "$unit_file"; }
reload() { if [ -d /run/systemd/system ]; then $systemctl daemon-reload || true; fi; }

if [ $action = uninstall ]; then
  [ -f "$prefix/.shoal" ] || fail "there is no installation in $prefix; name it by --prefix DIR"
  if unit_is_ours; then
    if [ -d /run/systemd/system ]; then $systemctl disable --now shoal-node.service || true; fi
    rm -f "$unit_file"
    reload
    say "removed $unit_file"
  fi
  for program in "$prefix"/bin/*; do
    name=${program##*/}
    if is_ours "$name"; then rm -f "$links/$name" && say "removed $links/$name"; fi
  done
  texts "$prefix" | while read -r text; do
    if [ "$(readlink "$shares/$text" 2>/dev/null)" = "$prefix/share/$text" ]; then rm -f "$shares/$text"; fi
  done
  for part in $parts .shoal; do rm -rf "${prefix:?}/$part"; done
  if rmdir "$prefix" 2>/dev/null; then
    say "removed $prefix"
  else
    say "removed Shoal from $prefix; what else is in there stays"
  fi
  say "Left as they are, if there: $kept"
  exit 0
fi

# What the machine must have.
[ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] || fail "this is for Linux on x86_64, not $(uname -s) on $(uname -m)"
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || fail "this system has no glibc (musl?); Shoal needs glibc @GLIBC@ or newer"
glibc=${glibc#glibc }
needed=@GLIBC@
if [ "${glibc%%.*}" -lt "${needed%%.*}" ] ||
  { [ "${glibc%%.*}" -eq "${needed%%.*}" ] && [ "$(printf %s "${glibc#*.}" | sed 's/[^0-9].*//')" -lt "${needed#*.}" ]; }; then
  fail "this system has glibc $glibc; Shoal needs $needed or newer (Ubuntu 22.04, Debian 12, Fedora 36, or later ones)"
fi
[ -x "$here/bin/shoal-node" ] || fail "$here/bin/shoal-node is missing; unpack the whole archive"
"$here/bin/shoal" --version >/dev/null || fail "$here/bin/shoal does not start on this machine"
[ "$here" != "$prefix" ] || fail "Shoal is in $prefix already; to move it, name another folder by --prefix DIR"
if [ -e "$prefix" ] && [ ! -f "$prefix/.shoal" ] && [ -n "$(ls -A "$prefix")" ]; then
  fail "$prefix is there and is not Shoal's; name another folder by --prefix DIR"
fi

# Files of an older version go first: a running node keeps what it has mapped.
mkdir -p "$prefix" "$links"
: >"$prefix/.shoal"
for part in $parts; do
  rm -rf "${prefix:?}/$part"
  cp -R "$here/$part" "$prefix/"
done
say "installed $("$prefix/bin/shoal" --version) into $prefix"
for program in "$prefix"/bin/*; do
  name=${program##*/}
  if [ -e "$links/$name" ] && ! is_ours "$name"; then
    say "left $links/$name as it is: it is not Shoal's"
  else
    ln -sf "$program" "$links/$name"
    say "linked $links/$name"
  fi
done
texts "$prefix" | while read -r text; do
  mkdir -p "$(dirname "$shares/$text")"
  if [ ! -e "$shares/$text" ] || [ -L "$shares/$text" ]; then ln -sf "$prefix/share/$text" "$shares/$text"; fi
done
say "linked manual pages and completions into $shares"
if [ $unit = yes ]; then
  source=$here/share/shoal/systemd/$mode/shoal-node.service
  mkdir -p "$units"
  sed "s|@PROGRAM@|$prefix/bin/shoal-node|g" "$source" >"$unit_file"
  reload
  say "wrote $unit_file (not enabled)"
fi
case ":$PATH:" in
  *":$links:"*) ;;
  *) say "$links is not in your PATH: add it, or name the programs in full" ;;
esac
say
say "Try it:      $links/shoal generate --local --model $prefix/share/shoal/models/demo 'Once upon a time'"
[ $unit = no ] || say "Serve:       $links/shoal-node service install --model MODEL --join HOST:7000 --listen :7000"
[ $unit = no ] || say "             or write $configuration (see the head of $unit_file), then: $systemctl enable --now shoal-node"
again=; if [ $mode = user ] && [ "$(id -u)" = 0 ]; then again=" --user"; fi
say "Undo:        $prefix/install.sh --uninstall$again"
