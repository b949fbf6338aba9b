// title: What a user is interested in
// description: A user's interests by strength, from events, reviews, searches and what the user stated: shelves,
//   brands, attribute values and aspects of the products met, each as its share of the interest of its kind (nothing of
//   what the user regrets: returned, disliked, hid, or rated below 3); what was searched for; the interests that the
//   user stated; the band of prices in which four fifths of the interest lie, by currency; and the segment. Interest
//   halves with every half-life before the user's latest event (the live model's, a year while none is live). A search
//   counts as a look, spread over the three products on sale that its words find. An aspect counts where reviewers
//   praise it in what the user took, and double where the user's own review names it. Read are the 1,000 products and
//   the 20 searches of most interest.
// param user: STRING -- the user's id
// param per_kind: INTEGER in 1..100 = 5 -- most interests of a kind
// example: {"user": "anna"}
// returns: kind STRING, name STRING, strength FLOAT, products INTEGER, latest ZONED DATETIME

CYPHER 25
MATCH (u:User {id: $user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
CALL (u, live) {
  MATCH (u)-[asked:SEARCHED]->(q:Query)
  LET days = coalesce((u.last_at.epochSeconds - asked.at.epochSeconds) / 86400.0, 0.0)
  LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / coalesce(live.half_life_days, 365.0))
  WITH q, asked.at AS at, (1.0 + log(asked.count)) * decay AS part
  ORDER BY part DESC, q.text
  LIMIT 20
  RETURN collect({text: q.text, at: at, part: part}) AS searches
}
CALL (u, live, searches) {
  CALL (u, live, searches) {
    MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
    WHERE coalesce(did.strength, 1.0) > 0.0
      AND NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
    LET days = coalesce((u.last_at.epochSeconds - did.at.epochSeconds) / 86400.0, 0.0)
    LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / coalesce(live.half_life_days, 365.0))
    RETURN h, coalesce(did.strength, 1.0) * decay AS part, did.at AS at
  UNION ALL
    UNWIND searches AS search
    // All that Lucene might take for an operator becomes a space, its words lose their capitals.
    LET plain = reduce(s = toLower(search.text), c IN split('+ - & | ! ( ) { } [ ] ^ " ~ * ? : \\ / < > =', ' ') |
                       replace(s, c, ' '))
    FILTER trim(plain) <> ''
    CALL (plain) {
      MATCH (h:Product)
        SEARCH h IN (FULLTEXT INDEX product_fulltext FOR plain LIMIT 20) SCORE AS score
      FILTER h.active
      WITH h, score
      ORDER BY score DESC, h.sku
      LIMIT 3
      RETURN h
    }
    RETURN h, 0.2 / 3.0 * search.part AS part, search.at AS at
  }
  WITH h, sum(part) AS interest, max(at) AS at
  ORDER BY interest DESC, h.sku
  LIMIT 1000
  RETURN collect({h: h, interest: interest, at: at}) AS history
}
CALL (u, searches, history) {
  UNWIND history AS x
  LET h = x.h
  MATCH (h)-[:IN_CATEGORY]->(c:Category)
  RETURN DISTINCT 'category' AS kind, c.path AS name, x.interest AS part, h, x.at AS at
UNION ALL
  UNWIND history AS x
  LET h = x.h
  MATCH (h)-[:MADE_BY]->(b:Brand)
  RETURN DISTINCT 'brand' AS kind, b.name AS name, x.interest AS part, h, x.at AS at
UNION ALL
  UNWIND history AS x
  LET h = x.h
  MATCH (h)-[:HAS_ATTRIBUTE]->(v:AttributeValue)
  RETURN DISTINCT 'attribute' AS kind, v.attribute + ' = ' + v.value + coalesce(' ' + v.unit, '') AS name,
                  x.interest AS part, h, x.at AS at
UNION ALL
  UNWIND history AS x
  LET h = x.h
  MATCH (h)-[f:PRAISED_FOR]->(a:Aspect)
  LET own = EXISTS {
    MATCH (e:Evidence {fact: f.fact})-[:FROM]->(:Document)<-[:HAS_TEXT]-(:Review)<-[:WROTE]-(u)
  }
  RETURN 'aspect' AS kind, a.name AS name, CASE WHEN own THEN 2.0 ELSE 1.0 END * x.interest AS part, h, x.at AS at
UNION ALL
  UNWIND searches AS search
  RETURN 'search' AS kind, search.text AS name, search.part AS part, null AS h, search.at AS at
UNION ALL
  UNWIND u.interests AS interest
  RETURN 'stated' AS kind, interest AS name, 1.0 AS part, null AS h, null AS at
UNION ALL
  UNWIND history AS x
  WITH x
  WHERE x.h.price IS NOT NULL
  ORDER BY x.h.price, x.h.sku
  WITH coalesce(x.h.currency, '') AS currency, collect(x) AS priced, sum(x.interest) AS total
  // The prices at which a tenth and nine tenths of the interest are reached, going up.
  LET band = reduce(s = {sum: 0.0, low: null, high: null}, x IN priced | {
    sum: s.sum + x.interest,
    low: CASE WHEN s.low IS NULL AND s.sum + x.interest >= 0.1 * total THEN x.h.price ELSE s.low END,
    high: CASE WHEN s.high IS NULL AND s.sum + x.interest >= 0.9 * total THEN x.h.price ELSE s.high END
  })
  UNWIND priced AS x
  RETURN 'price' AS kind, trim(toString(band.low) + ' to ' + toString(band.high) + ' ' + currency) AS name,
         x.interest AS part, x.h AS h, x.at AS at
UNION ALL
  MATCH (u)-[in:IN_SEGMENT]->(s:Segment)
  RETURN 'segment' AS kind, s.name AS name, in.strength AS part, null AS h, s.at AS at
}
WITH kind, name, sum(part) AS part, count(DISTINCT h) AS products, max(at) AS latest
ORDER BY part DESC, name
WITH kind, sum(part) AS total, collect({name: name, part: part, products: products, latest: latest}) AS found
UNWIND found[..$per_kind] AS one
LET order = ['category', 'brand', 'attribute', 'aspect', 'price', 'search', 'stated', 'segment']
RETURN kind, one.name AS name, CASE WHEN total > 0.0 THEN one.part / total ELSE 0.0 END AS strength,
       one.products AS products, one.latest AS latest
ORDER BY [i IN range(0, size(order) - 1) WHERE order[i] = kind][0], strength DESC, name
