import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { WatchPosition } from "../../lib/position.ts";
import { compareRv } from "../../lib/resource_version.ts";

const A = new Uint32Array([1, 2, 3, 4]);
const B = new Uint32Array([1, 2, 3, 5]);
const HEX_A = "00000001000000020000000300000004";

function known(rv: string, previous: string, witness: string | null = HEX_A): WatchPosition {
  return new WatchPosition({ rv, previous, witness, highest: rv, listOwed: false });
}

Deno.test("the highest version stays where the next one is no plain decimal (fault 36)", () => {
  const position = known("12", "11");
  position.meetNext("v13", B);
  assertEquals(position.rv, "v13");
  assertEquals(position.highest, "12");
  position.meetNext("13", B);
  assertEquals(position.highest, "13");
});

Deno.test("versions of any size are met, kept and told as they came (fault 36)", () => {
  for (const step of [0n, 10n ** 15n - 3n, 2n ** 53n - 2n, 10n ** 18n, 2n ** 127n]) {
    const [first, next, last] = [1n, 2n, 3n].map((n) => `${step + n}`);
    const position = known(first!, `${step}`);
    assert(position.isWitness(first!, A));
    assert(position.meetNext(next!, B) && position.meetNext(next!, A), "the same version again");
    assert(position.meetNext(last!, A));
    const at = { rv: last!, previous: next!, highest: last!, witness: HEX_A, listOwed: false };
    assertEquals(position.snapshot(), at);
    assertEquals([position.rv, position.previous, position.passed], [last, next, last]);
    assert(!position.meetNext(first!, A), "back");
  }
});

Deno.test("a position goes through a checkpoint unchanged", () => {
  for (const witness of [HEX_A, null]) {
    for (const listOwed of [true, false]) {
      const position = { rv: "12", previous: "11", witness, highest: "15", listOwed };
      assertEquals(new WatchPosition(position).snapshot(), position);
    }
  }
  assertEquals(new WatchPosition(null).snapshot(), null);
});

Deno.test("a witness that is none is no witness", () => {
  for (const witness of ["", "zz", HEX_A.slice(1), HEX_A.toUpperCase().replace("0", "G")]) {
    assert(!known("12", "11", witness).hasWitness);
  }
});

Deno.test("an event moves the position, and the version before becomes P", () => {
  const position = known("12", "11");
  assert(position.meetNext("13", B));
  assertEquals([position.rv, position.previous], ["13", "12"]);
  assert(
    position.isWitness("13", B) && !position.isWitness("13", A) && !position.isWitness("12", B),
  );
});

Deno.test("further events under the same version change nothing: the first one is the witness", () => {
  const position = known("12", "11");
  assert(position.meetNext("13", B));
  assert(position.meetNext("13", A));
  assertEquals(position.previous, "12");
  assert(position.isWitness("13", B));
});

Deno.test("the witness met again changes nothing, however often", () => {
  const position = known("12", "11");
  const before = position.snapshot();
  for (let i = 0; i < 3; i++) assertEquals(position.meetFirst("12", A, "11"), false);
  assertEquals(position.snapshot(), before);
});

Deno.test("another first event is taken as it is: P is where its watch began", () => {
  const sameVersion = known("12", "11");
  assert(sameVersion.meetFirst("12", B, "11"));
  assert(sameVersion.isWitness("12", B));
  assertEquals(sameVersion.previous, "11");

  const later = known("12", "11");
  assert(later.meetFirst("20", B, "11"));
  assertEquals([later.rv, later.previous], ["20", "11"]);

  const earlier = known("12", "5");
  assert(earlier.meetFirst("7", B, "5"));
  assertEquals([earlier.rv, earlier.previous], ["7", "5"]);
});

Deno.test("versions that go back leave no witness, and no P of the history that is gone", () => {
  const position = known("1000", "990");
  assertEquals(position.meetNext("505", B), false);
  assertEquals(position.snapshot(), {
    rv: "505",
    previous: "505",
    witness: null,
    highest: "505",
    listOwed: false,
  });
  assert(position.meetNext("506", A));
  assertEquals([position.previous, position.hasWitness], ["505", true]);
});

Deno.test("versions that cannot be ordered are followed as they come", () => {
  const position = known("zz", "yy");
  assert(position.meetNext("aa", B));
  assertEquals([position.rv, position.previous, position.hasWitness], ["aa", "zz", true]);
});

Deno.test("after begin() a LIST is owed and there is no witness", () => {
  const position = known("1000", "990");
  position.begin("50");
  assertEquals(position.snapshot(), {
    ...{ rv: "50", previous: "50", witness: null },
    ...{ highest: "50", listOwed: true },
  });
  assert(position.meetFirst("51", A, "50"));
  assertEquals([position.previous, position.hasWitness], ["50", true]);
});

Deno.test("a watch is past a LIST once it has met as high a version, or is seen to have none to show", () => {
  const position = known("12", "11");
  assert(position.isPast("12"));
  assert(!position.isPast("13"));
  position.meetListed("20");
  assert(!position.isPast("12")); // It may show 20 again.
  position.meetNext("19", A);
  assert(!position.isPast("12"));
  position.meetNext("20", B);
  assert(position.isPast("20"));
  assert(!position.isPast("31")); // A write that is gone in the LIST may come before it.
  position.pass("31");
  assert(position.isPast("31"));
  assertEquals(position.snapshot()!.highest, "20");
});

Deno.test("a watch that skipped what the server may have is past nothing, until P moves or it resumes", () => {
  const position = known("12", "11");
  position.skip("40");
  assertEquals([position.passed, position.isPast("12")], ["40", false]);
  position.pass("50"); // That WATCH has nothing to show, one from P may.
  assert(!position.isPast("12"));
  assert(!new WatchPosition(position.snapshot()).isPast("40"));
  const resumed = new WatchPosition(position.snapshot());
  resumed.skip("40");
  resumed.meetFirst("12", A, "11");
  assertEquals([resumed.passed, resumed.isPast("12"), resumed.isPast("13")], ["12", true, false]);
  position.meetFirst("51", B, "40");
  assertEquals([position.previous, position.isPast("51")], ["40", true]);
});

Deno.test("where etcd went back, or versions know no order, nobody waits for a version", () => {
  const position = known("12", "11");
  position.meetListed("20");
  position.begin("7");
  assert(position.isPast("7"));
  assertEquals(position.snapshot()!.highest, "7");
  const odd = known("zz", "yy");
  odd.meetListed("20");
  assert(odd.isPast("20"));
});

Deno.test("a version that was passed without an event goes with the position until the next event", () => {
  const position = known("12", "11");
  assertEquals([position.passed, position.snapshot()!.passed], ["12", undefined]);
  position.pass("40");
  position.seen(1234);
  const { passed, seenMs } = position.snapshot()!;
  assertEquals([passed, seenMs], ["40", 1234]);
  const later = new WatchPosition(position.snapshot());
  assertEquals([later.passed, later.seenMs], ["40", 1234]);
  later.meetFirst("12", A, "11"); // The witness says nothing new.
  assertEquals(later.passed, "40");
  later.meetNext("41", B);
  assertEquals([later.passed, later.snapshot()!.passed], ["41", undefined]);
  later.pass("50");
  later.begin("45");
  assertEquals(later.passed, "45");
});

Deno.test("resuming at P over any history shows the witness first", () => {
  const seed = Number(Deno.env.get("SEED") ?? Date.now());
  console.log(`SEED=${seed}`);
  const step = fc.record({ gap: fc.integer({ min: 0, max: 2 }), key: fc.integer({ max: 5 }) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1 }), fc.nat(), (steps, cut) => {
      // Gap 0: several events under one version.
      let version = 100;
      const history = steps.map(({ gap, key }, index) => {
        version += index === 0 ? 1 : gap;
        return { rv: `${version}`, key: new Uint32Array([key, index, 0, 0]) };
      });
      const position = new WatchPosition(null);
      position.begin("100");
      const met = history.slice(0, 1 + cut % history.length);
      for (const [index, { rv, key }] of met.entries()) {
        if (index === 0) position.meetFirst(rv, key, "100");
        else assert(position.meetNext(rv, key));
      }
      const first = history.find(({ rv }) => compareRv(rv, position.previous) === 1);
      assert(position.isWitness(first!.rv, first!.key));
      assertEquals(position.rv, met.at(-1)!.rv);
    }),
    { seed },
  );
});
