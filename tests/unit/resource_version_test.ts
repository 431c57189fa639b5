import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { compareRv, decimalIn, versionOf } from "../../lib/resource_version.ts";

Deno.test("compareRv() orders plain decimals of any size as numbers (fault 36; check 4.2.2)", () => {
  const seed = Number(Deno.env.get("SEED") ?? Date.now());
  console.log(`SEED=${seed}`);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 130n }), fc.bigInt({ min: 0n }), (a, b) => {
      assertEquals(compareRv(`${a}`, `${b}`), a === b ? 0 : a < b ? -1 : 1);
    }),
    { seed },
  );
});

Deno.test("compareRv() knows only equality for what is no plain decimal (fault 36; check 4.2.2)", () => {
  for (const odd of ["", "07", "1.5", "0x1f", "-1", "+1", " 1", "1e3", "v12", "１"]) {
    assertEquals(compareRv(odd, "12"), null);
    assertEquals(compareRv("12", odd), null);
    assertEquals(compareRv(odd, odd), 0);
  }
});

Deno.test("a version is the number of its digits in bytes and in text, or its text", () => {
  const seed = Number(Deno.env.get("SEED") ?? Date.now());
  console.log(`SEED=${seed}`);
  const digits = fc.stringMatching(/^[0-9]{1,20}$/);
  const texts = fc.oneof(digits, fc.bigInt({ min: 0n }).map(String), fc.string({ minLength: 1 }));
  fc.assert(
    fc.property(texts, texts, (a, b) => {
      const version = versionOf(a);
      assertEquals(`${version}`, a);
      assertEquals(versionOf(version), version);
      const around = new TextEncoder().encode(`x${a}x`);
      const number = decimalIn(around, 1, around.length - 1);
      assertEquals(number, typeof version === "number" ? version : -1);
      assertEquals(versionOf(a) === versionOf(b), a === b);
      assertEquals(compareRv(version, b), compareRv(a, versionOf(b)));
    }),
    { seed, numRuns: 2000 },
  );
});
