/**
 * Silences node:process' deprecation warnings. Import it before @kubernetes/client-node, one of
 * whose packages (whatwg-url) still loads `punycode`: the warning would be the first line of our
 * log.
 */

import process from "node:process";

process.noDeprecation = true;
