import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { buildGraph, type GraphAsset, type GraphLink, type NetworkGraph, nodesOf } from "./graph.ts"
import { makeInpReader } from "./inp.ts"
import { isolate } from "./isolate.ts"
import { connected, downstream, nearestDownstream, route, upstream } from "./trace.ts"

const water = join(import.meta.dirname, "../../../../../../shared/data/water")
const town = join(import.meta.dirname, "../../../../../examples/water-watch/network.inp")

const load = (path: string): NetworkGraph => {
  const reader = makeInpReader()
  for (const line of readFileSync(path, "utf8").split("\n")) reader.take(line)
  const file = reader.end()
  if (file instanceof InvalidInput) assert.fail(file.message)
  const asset = (id: string, one: (typeof file.points)[number] | (typeof file.lines)[number]): GraphAsset => ({
    id,
    kind: one.kind,
    closed: one.status === "closed",
    operable: one.operable,
    customers: one.customers,
    demand: one.demand
  })
  return buildGraph(
    file.points.map((point) => asset(`n:${point.externalId}`, point)),
    file.lines.map((line) => ({
      ...asset(line.externalId, line),
      from: `n:${line.from}`,
      to: `n:${line.to}`,
      length: line.length ?? 0,
      directed: line.directed
    }))
  )
}
const names = (graph: NetworkGraph, elements: ReadonlyArray<number>) => elements.map((one) => graph.ids[one]!)
const at = (graph: NetworkGraph, id: string) => graph.elementOf(id) ?? assert.fail(`There is no ${id}`)

const node = (id: string, more: Partial<GraphAsset> = {}): GraphAsset => ({
  id,
  kind: "junction",
  closed: false,
  operable: true,
  customers: 1,
  demand: 0.5,
  ...more
})
const link = (id: string, from: string, to: string, more: Partial<GraphLink> = {}): GraphLink => ({
  ...node(id, { customers: 0, demand: 0 }),
  kind: "pipe",
  from,
  to,
  length: 10,
  directed: false,
  ...more
})

/** R – v1 – a – p – b – v2 – c – v3 – T, with a dead end d at b behind v4. */
const street = (more: { readonly v2?: Partial<GraphLink>; readonly v1?: Partial<GraphLink> } = {}) =>
  buildGraph(
    [
      node("R", { kind: "reservoir", customers: 0 }),
      ...["a", "b", "c", "d"].map((id) => node(id)),
      node("T", { kind: "tank", customers: 0 })
    ],
    [
      link("v1", "R", "a", { kind: "valve", length: 0, ...more.v1 }),
      link("p", "a", "b"),
      link("v2", "b", "c", { kind: "valve", length: 0, ...more.v2 }),
      link("v3", "c", "T", { kind: "valve", length: 0 }),
      link("v4", "b", "d", { kind: "valve", length: 0 })
    ]
  )

const networks = fc
  .record({
    nodes: fc.array(fc.constantFrom("junction", "junction", "junction", "valve", "meter", "reservoir", "tank"), {
      minLength: 2,
      maxLength: 9
    }),
    links: fc.array(
      fc.record({
        from: fc.nat(),
        to: fc.nat(),
        kind: fc.constantFrom("pipe", "pipe", "valve", "valve", "valve", "pump"),
        closed: fc.integer({ min: 0, max: 9 }),
        operable: fc.integer({ min: 0, max: 9 }),
        directed: fc.boolean()
      }),
      { minLength: 5, maxLength: 14 }
    ),
    odd: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 18, maxLength: 18 }),
    target: fc.nat()
  })
  .map(({ links, nodes, odd, target }) => {
    const graph = buildGraph(
      nodes.map((kind, place) =>
        node(`n${place}`, {
          kind: kind as "junction",
          closed: kind === "valve" && odd[place] === 0,
          operable: odd[place + 9] !== 0
        })
      ),
      links
        .map(({ closed, directed, from, kind, operable, to }, place) =>
          link(`l${place}`, `n${from % nodes.length}`, `n${to % nodes.length}`, {
            kind: kind as "pipe",
            closed: closed === 0,
            operable: operable > 0,
            directed
          })
        )
        .filter(({ from, to }) => from !== to)
    )
    return { graph, element: target % (graph.nodeCount + graph.linkCount) }
  })

describe("isolation", () => {
  it("closes_the_nearest_valve_on_each_way_that_water_comes", () => {
    const graph = street()
    const found = isolate(graph, at(graph, "p"))
    assert.isTrue(found.isolated)
    assert.deepStrictEqual(names(graph, found.close), ["v1", "v2"])
    assert.deepStrictEqual(names(graph, found.segment), ["a", "b", "p"])
    // Behind v4 stands no water of its own: it may stay open, and d is dry all the same.
    assert.deepStrictEqual(names(graph, found.withoutWater), ["a", "b", "d", "p", "v4"])
    assert.deepStrictEqual([found.customers, found.demand], [3, 1.5])
  })

  it("goes_past_a_valve_that_is_stuck_open_and_leaves_a_closed_one_closed", () => {
    const stuck = street({ v2: { operable: false } })
    const past = isolate(stuck, at(stuck, "p"))
    assert.deepStrictEqual(names(stuck, past.close), ["v1", "v3"])
    assert.deepStrictEqual(names(stuck, past.stuck), ["v2"])
    const told = street()
    assert.deepStrictEqual(names(told, isolate(told, at(told, "p"), new Set([at(told, "v2")])).close), ["v1", "v3"])
    const closed = street({ v2: { closed: true } })
    const held = isolate(closed, at(closed, "p"))
    assert.deepStrictEqual(names(closed, held.close), ["v1"])
    assert.deepStrictEqual(names(closed, held.keepClosed), ["v2"])
  })

  it("says_so_where_no_valve_stands_before_a_source", () => {
    const graph = street({ v1: { operable: false } })
    const found = isolate(graph, at(graph, "p"))
    assert.isFalse(found.isolated)
    assert.deepStrictEqual(names(graph, found.sources), ["R"])
  })

  it("takes_valves_that_stand_on_the_map_as_points", () => {
    const graph = buildGraph(
      [
        node("R", { kind: "reservoir" }),
        node("v", { kind: "valve" }),
        node("a"),
        node("w", { kind: "valve", closed: true }),
        node("b"),
        node("S", { kind: "reservoir" })
      ],
      [link("1", "R", "v"), link("2", "v", "a"), link("3", "a", "w"), link("4", "w", "b"), link("5", "b", "S")]
    )
    const found = isolate(graph, at(graph, "2"))
    assert.deepStrictEqual(names(graph, found.close), ["v"])
    assert.deepStrictEqual(names(graph, found.keepClosed), ["w"])
    assert.deepStrictEqual(names(graph, isolate(graph, at(graph, "4")).keepClosed), ["w"])
    assert.isFalse(isolate(graph, at(graph, "4")).isolated)
    // A leaking valve is shut off by those around it.
    assert.deepStrictEqual(names(graph, isolate(graph, at(graph, "v")).sources), ["R"])
  })

  /** Whether water stands at an element: by the definition, and with none of the code that is tested. */
  const hasWater = (graph: NetworkGraph, element: number, shut: ReadonlySet<number>): boolean => {
    const blocked = (one: number) => graph.closed[one] === 1 || shut.has(one)
    const reached = new Set<number>(graph.sources)
    const target = new Set(nodesOf(graph, element))
    for (let grown = true; grown;) {
      grown = false
      for (let one = 0; one < graph.linkCount; one++) {
        const ends = [graph.from[one]!, graph.to[one]!] as const
        // The asset itself holds nothing back: it is what leaks.
        if (graph.nodeCount + one !== element && blocked(graph.nodeCount + one)) continue
        for (const [a, b] of [ends, [ends[1], ends[0]] as const])
          if (reached.has(a) && !reached.has(b) && (a === element || !blocked(a))) {
            reached.add(b)
            grown = true
          }
      }
    }
    return element < graph.nodeCount
      ? reached.has(element)
      : [...target].some((one) => reached.has(one) && !blocked(one))
  }

  it("leaves_no_way_from_any_source_and_none_of_its_valves_is_needless", () => {
    let [shutOff, several] = [0, 0]
    fc.assert(
      fc.property(networks, ({ element, graph }) => {
        const found = isolate(graph, element)
        const all = new Set(found.close)
        for (const valve of all) assert.isTrue(graph.closable[valve] === 1 && graph.closed[valve] === 0)
        for (const valve of found.stuck) assert.isTrue(graph.closable[valve] === 0 && graph.closed[valve] === 0)
        for (const valve of found.keepClosed) assert.strictEqual(graph.closed[valve], 1)
        assert.strictEqual(hasWater(graph, element, all), !found.isolated)
        if (!found.isolated) return
        shutOff++
        if (all.size > 1) several++
        for (const valve of all)
          assert.isTrue(hasWater(graph, element, new Set([...all].filter((one) => one !== valve))), graph.ids[valve])
      }),
      { numRuns: 3000, seed: 20261121 }
    )
    // The property is about something.
    assert.isAbove(shutOff, 500)
    assert.isAbove(several, 100)
  })
})

describe("tracing", () => {
  it("follows_the_shortest_way_from_the_sources_and_the_direction_of_what_has_one", () => {
    const graph = buildGraph(
      [node("R", { kind: "reservoir" }), node("a"), node("b"), node("c"), node("hill")],
      [
        // Drawn against the water.
        link("1", "a", "R"),
        link("2", "a", "b", { length: 30 }),
        link("3", "c", "b"),
        link("pump", "b", "hill", { kind: "pump", directed: true, length: 0 }),
        link("shut", "hill", "a", { closed: true })
      ]
    )
    assert.deepStrictEqual(names(graph, downstream(graph, at(graph, "2"))), ["b", "c", "hill", "3", "pump"])
    assert.deepStrictEqual(names(graph, upstream(graph, at(graph, "2"))), ["R", "a", "1"])
    assert.deepStrictEqual(names(graph, upstream(graph, at(graph, "hill"))), ["R", "a", "b", "1", "2", "pump"])
    assert.deepStrictEqual(names(graph, downstream(graph, at(graph, "shut"))), [])
    assert.deepStrictEqual(names(graph, connected(graph, at(graph, "c"))), [
      "R",
      "a",
      "b",
      "hill",
      "1",
      "2",
      "3",
      "pump"
    ])
  })

  it("of_what_lies_below_takes_the_nearest", () => {
    const number = (left: number, right: number) => left - right
    let far = 0
    fc.assert(
      fc.property(networks, fc.nat(6), ({ element, graph }, most) => {
        const all = nearestDownstream(graph, element, Infinity)
        assert.deepStrictEqual(all.toSorted(number), downstream(graph, element))
        assert.deepStrictEqual(nearestDownstream(graph, element, most), all.slice(0, most))
        if (all.length > most) far++
      }),
      { numRuns: 3000, seed: 20261122 }
    )
    assert.isAbove(far, 500)
    const graph = buildGraph(
      [node("R", { kind: "reservoir" }), node("far"), node("near")],
      [link("1", "R", "far", { length: 30 }), link("2", "near", "R", { length: 5 })]
    )
    assert.deepStrictEqual(names(graph, nearestDownstream(graph, at(graph, "R"), 3)), ["1", "2", "near"])
  })

  it("finds_the_shortest_way_along_the_pipes_open_or_closed", () => {
    const graph = street({ v1: { closed: true } })
    assert.deepStrictEqual(route(graph, at(graph, "R"), at(graph, "d")), {
      metres: 10,
      elements: ["R", "v1", "a", "p", "b", "v4", "d"].map((id) => at(graph, id))
    })
    assert.deepStrictEqual(route(graph, at(graph, "p"), at(graph, "v2")), {
      metres: 0,
      elements: ["p", "b", "v2"].map((id) => at(graph, id))
    })
    assert.deepStrictEqual(route(graph, at(graph, "p"), at(graph, "p"))?.elements, [at(graph, "p")])
    const apart = buildGraph([node("a"), node("b")], [])
    assert.isUndefined(route(apart, 0, 1))
  })
})

describe("real networks", () => {
  it("the_town_of_the_example_can_be_shut_off_pipe_by_pipe", () => {
    const graph = load(town)
    const pipes = graph.kinds.flatMap((kind, one) => (kind === "pipe" ? [one] : []))
    assert.isAtLeast(pipes.length, 37)
    const bare = pipes.filter((pipe) => !isolate(graph, pipe).isolated)
    // Between the hill, the river, the tank and their first valves.
    assert.deepStrictEqual(names(graph, bare).length, 3)
    const school = isolate(graph, at(graph, graph.ids[pipes[31]!]!))
    assert.isAbove(school.close.length, 0)
    assert.isAbove(school.demand, 0)
  })

  it.skipIf(!existsSync(water))(
    "L-TOWN_and_Net3_are_traced_and_isolated (left out without ../shared/data/water)",
    () => {
      const ltown = load(join(water, "L-TOWN.inp"))
      // Three pressure valves in 42 km of pipes: nothing can be shut off from both reservoirs, and the answer says so.
      const found = isolate(ltown, at(ltown, "p257"))
      assert.isFalse(found.isolated)
      assert.isAbove(found.sources.length, 0)
      // Of a source's first pipe everything behind it is downstream.
      const whole = ltown.nodeCount + ltown.linkCount
      assert.strictEqual(connected(ltown, at(ltown, "p257")).length, whole - 1)
      const first = ltown.links[ltown.start[ltown.sources[0]!]!]!
      assert.isAbove(downstream(ltown, ltown.nodeCount + first).length, 50)
      assert.deepStrictEqual(upstream(ltown, ltown.sources[0]!), [])
      // PRV-1 begins at n303 and lets water out at n300.
      assert.include(names(ltown, upstream(ltown, at(ltown, "PRV-1"))), "n:n303")
      const net3 = load(join(water, "Net3.inp"))
      assert.isAbove(route(net3, at(net3, "n:River"), at(net3, "n:Lake"))!.metres, 1000)
    }
  )
})
