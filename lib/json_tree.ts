/**
 * JSON texts as trees that lose nothing: numbers keep their text, objects are Maps.
 *
 * JSON.parse judges whether a text is JSON, but its objects are not used. They turn 1.0 into 1,
 * have a prototype, and in V8 up to at least 14.9 an escaped key may come out as another one: after
 * `{"a":1,"\\":2}` has been parsed, the second key of `{"a":1,"\u0078":2}` reads `\`
 * (nodejs/node#63785, issues.chromium.org/521080746). A lone string has no such trouble.
 */

/** A number as it is written. */
export class JsonNumber {
  /** @param text as in the JSON */
  constructor(readonly text: string) {}
}

/** A Map has no other keys than the JSON has. Of duplicates the last counts. */
export type JsonObject = Map<string, JsonTree>;

/** Any JSON value. */
export type JsonTree = null | boolean | string | JsonNumber | JsonTree[] | JsonObject;

/**
 * Reads a JSON text. Recursive: the caller bounds the nesting.
 *
 * @throws SyntaxError of JSON.parse, whose message quotes the text
 */
export function parseTree(text: string): JsonTree {
  JSON.parse(text);
  return new ValidReader(text).value();
}

const TAB_TO_SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Reads what JSON.parse has accepted, and so need not check it again. */
class ValidReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): JsonTree {
    switch (this.#next()) {
      case "{":
        return this.#object();
      case "[":
        return this.#array();
      case '"':
        return this.#string();
      case "n":
        this.#at += "null".length;
        return null;
      case "t":
        this.#at += "true".length;
        return true;
      case "f":
        this.#at += "false".length;
        return false;
      default:
        return this.#number();
    }
  }

  /** The character at which the next token begins. */
  #next(): string {
    while (this.#text.charCodeAt(this.#at) <= TAB_TO_SPACE) this.#at++;
    return this.#text[this.#at]!;
  }

  #object(): JsonObject {
    const object: JsonObject = new Map();
    do {
      this.#at++;
      if (this.#next() === "}") break;
      const key = this.#string();
      this.#next();
      this.#at++;
      object.set(key, this.value());
    } while (this.#next() === ",");
    this.#at++;
    return object;
  }

  #array(): JsonTree[] {
    const array: JsonTree[] = [];
    do {
      this.#at++;
      if (this.#next() === "]") break;
      array.push(this.value());
    } while (this.#next() === ",");
    this.#at++;
    return array;
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at;
    let hasEscape = false;
    let end = start + 1;
    for (let code = text.charCodeAt(end); code !== QUOTE; code = text.charCodeAt(++end)) {
      if (code !== BACKSLASH) continue;
      hasEscape = true;
      end++;
    }
    this.#at = end + 1;
    return hasEscape ? JSON.parse(text.slice(start, end + 1)) : text.slice(start + 1, end);
  }

  #number(): JsonNumber {
    const start = this.#at;
    while (/[-+.0-9Ee]/.test(this.#text[this.#at] ?? "")) this.#at++;
    return new JsonNumber(this.#text.slice(start, this.#at));
  }
}
