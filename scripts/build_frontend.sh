#!/bin/sh
# Makes src/cjit/web/static/cjit.css, govuk-frontend.min.js and accessible-autocomplete.min.js, which are kept in the
# repository: nobody needs Node to run the service. Run it again to take newer ones, with the versions below changed.
# Needs npm.
set -eu

govuk_frontend=6.6.0
accessible_autocomplete=3.0.1
sass=1.108.2

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
    "govuk-frontend@$govuk_frontend" "accessible-autocomplete@$accessible_autocomplete" "sass@$sass" >&2

notice="/*! GOV.UK Frontend $govuk_frontend, MIT licence: see govuk-frontend.LICENSE.txt */"
autocomplete="/*! accessible-autocomplete $accessible_autocomplete, MIT licence: see accessible-autocomplete.LICENSE.txt */"
out=$root/src/cjit/web/static
{
    echo "$notice"
    echo "$autocomplete"
    "$work/node_modules/.bin/sass" --load-path="$work/node_modules" --style=compressed --no-source-map --no-charset \
        "$root/scripts/frontend/cjit.scss"
} >"$out/cjit.css"
{
    echo "$notice"
    sed '/^\/\/# sourceMappingURL=/d; s,//# sourceMappingURL=.*$,,' \
        "$work/node_modules/govuk-frontend/dist/govuk/govuk-frontend.min.js"
} >"$out/govuk-frontend.min.js"
{
    echo "$autocomplete"
    sed '/^\/\/# sourceMappingURL=/d; s,//# sourceMappingURL=.*$,,' \
        "$work/node_modules/accessible-autocomplete/dist/accessible-autocomplete.min.js"
} >"$out/accessible-autocomplete.min.js"
cp "$work/node_modules/accessible-autocomplete/LICENSE.txt" "$out/accessible-autocomplete.LICENSE.txt"
wc -c "$out/cjit.css" "$out/govuk-frontend.min.js" "$out/accessible-autocomplete.min.js"
