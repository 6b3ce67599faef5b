#!/bin/sh
# Makes sure that what the project needs from the system is there: ensure-packages.sh [venv] [browser] [ssh] [postgres] [node]
#
#   venv     python3 can make virtual environments
#   browser  a Chromium for the browser tests ($CHROMIUM, else /usr/bin/chromium)
#   ssh      OpenSSH server, SFTP server and tools; the tests start servers of their own
#   postgres PostgreSQL's server and tools; the tests start a server of their own
#   node     Node.js 18 or later and npm; the tests serve descriptions of services with it
#
# What is missing is installed with apt when root, else named. A package that would start a service is kept from it.
set -eu

PYTHON=${PYTHON:-python3}
POLICY=/usr/sbin/policy-rc.d
NO_CLUSTER=/etc/postgresql-common/createcluster.d/connections-portal.conf
MARK="# connections-portal: no service starts while packages are installed"
missing=""

need() { missing="$missing $*"; }

for group in "$@"; do
    case $group in
    venv)
        "$PYTHON" -c "import ensurepip, venv" 2>/dev/null || need python3-venv
        ;;
    browser)
        if [ -n "${CHROMIUM:-}" ]; then
            [ -x "$CHROMIUM" ] || { echo "CHROMIUM=$CHROMIUM is not a program." >&2; exit 1; }
        else
            [ -x /usr/bin/chromium ] || need chromium fonts-liberation
        fi
        ;;
    ssh)
        [ -x /usr/sbin/sshd ] || need openssh-server
        [ -x /usr/lib/openssh/sftp-server ] || need openssh-sftp-server
        command -v ssh-keygen >/dev/null && command -v sftp >/dev/null || need openssh-client
        ;;
    postgres)
        # Debian keeps it outside of PATH
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || need postgresql
        ;;
    node)
        command -v node >/dev/null || need nodejs
        command -v npm >/dev/null || need npm
        ;;
    *)
        echo "Unknown group: $group" >&2
        exit 2
        ;;
    esac
done

[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "These packages are missing:$missing" >&2
    echo "Install them as root (Debian: apt-get install$missing), then try again." >&2
    exit 1
fi

# policy-rc.d answering 101 forbids every service start. One that is already there belongs to the machine and stays,
# unless it is ours from an installation that was cut short.
own_policy=no
if [ ! -e "$POLICY" ] || grep -qF "$MARK" "$POLICY"; then
    own_policy=yes
    printf '#!/bin/sh\n%s\nexit 101\n' "$MARK" >"$POLICY"
    chmod 755 "$POLICY"
fi
# Nor does PostgreSQL make databases of its own (pg_createcluster(1), create_main_cluster).
case " $missing " in
*" postgresql "*)
    mkdir -p "${NO_CLUSTER%/*}"
    printf '%s\ncreate_main_cluster = false\n' "$MARK" >"$NO_CLUSTER"
    ;;
esac
cleanup() {
    [ "$own_policy" = no ] || rm -f "$POLICY"
    rm -f "$NO_CLUSTER"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086  # a list of package names
if ! { apt-get -q -o DPkg::Lock::Timeout=300 update &&
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing; } </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    echo "The packages could not be installed:$missing" >&2
    exit 1
fi
rm -f "$log"

# The tests need the program, not the service: it must not come up at the next start of the machine either.
case " $missing " in
*" openssh-server "*)
    if command -v systemctl >/dev/null; then systemctl --quiet disable ssh.service ssh.socket 2>/dev/null || true; fi
    ;;
esac
