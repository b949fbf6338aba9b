// title: How likely a user is to buy something soon
// description: The probability that a user buys a product, or anything of a shelf (its sub-categories included), within
//   $days. Purchases are taken for a self-exciting point process (Hawkes 1971): a user's own rate, shrunken towards the
//   shop's, times the share that the target has of all purchases; and after each look, cart and purchase a wave of
//   purchases of the same thing, of what is related to it, and of its shelf, which dies away by half-lives; all of it
//   by how busy the shop was in the latest weeks. Sizes and half-lives are fitted to the shop's past
//   and calibrated on its latest months by the job "insight" (embeddings/intent.py), and stand on IntentModel; until it
//   has run there is no probability and the reason says so. What the user has is bought again only if it is consumed,
//   and what is inactive or out of stock not at all.
//   Expected is the number of purchases before calibration; a reason is a part of it, with the product because of which
//   it counts most. Read are the user's 500 latest events, and all that the user bought.
// param user: STRING -- the user's id
// param sku: STRING = null -- a product's sku
// param category: STRING = null -- path of a category
// param days: INTEGER in 1..365 = 30 -- how far ahead to look
// param now: ZONED DATETIME = null -- the present; by default the latest event that the fit saw, or the user's, if
//   later
// either: sku, category
// example: {"user": "ben", "category": "Accessories"}
// returns: user STRING, target STRING, probability FLOAT, expected FLOAT, reasons LIST<MAP>, fitted ZONED DATETIME

CYPHER 25
MATCH (u:User {id: $user})
OPTIONAL MATCH (m:IntentModel {id: 'purchase'})
CALL () {
  MATCH (p:Product {sku: $sku})
  RETURN p.sku AS target
UNION
  MATCH (c:Category {path: $category})
  RETURN c.path AS target
}
LET last = coalesce(u.last_at.epochSeconds, m.until)
LET now = coalesce($now.epochSeconds, CASE WHEN last > m.until THEN last ELSE m.until END)
// What the target has of all purchases, and what of that is closed to the user. Half a purchase is everybody's share.
CALL (m, target) {
  MATCH (p:Product {sku: $sku})
  WHERE p.sku = target
  RETURN sum(CASE WHEN p.active AND coalesce(p.stock, 1) > 0 THEN (COUNT { (p)<-[:BOUGHT]-() } + 0.5) / m.share_total
             ELSE 0.0
           END) AS share
UNION ALL
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
  WHERE target = $category AND p.active AND coalesce(p.stock, 1) > 0
  WITH DISTINCT m, p
  RETURN sum((COUNT { (p)<-[:BOUGHT]-() } + 0.5) / m.share_total) AS share
}
WITH u, m, target, now, sum(share) AS share
// The user's latest events, each with whether its product is of the target, and open.
CALL (u, now, target) {
  MATCH (u)-[did:VIEWED|CLICKED|CARTED|BOUGHT]->(h:Product)
  UNWIND did.times AS at
  WITH h, at, CASE WHEN did:CLICKED THEN 'VIEWED' ELSE type(did) END AS what
  FILTER at >= 0 AND at <= now
  ORDER BY at DESC, h.sku, what
  LIMIT 500
  LET own = h.sku = target AND $sku IS NOT NULL OR EXISTS {
    (h)-[:IN_CATEGORY]->(:Category)-[:SUBCATEGORY_OF]->{0,10}(:Category {path: $category})
  }
  RETURN collect({h: h, at: at, what: what, own: own}) AS events
}
LET first = reduce(t = now, e IN events | CASE WHEN e.at < t THEN e.at ELSE t END)
// What the user has is known from all purchases, however long ago.
CALL (u, now) {
  MATCH (u)-[did:BOUGHT]->(h:Product)
  WHERE NOT coalesce(h.consumable, false)
    AND (size(coalesce(did.times, [])) = 0 OR any(at IN did.times WHERE at <= now))
  RETURN collect(h) AS owned
}
CALL (m, owned, target) {
  UNWIND owned AS h
  WITH m, h, target
  FILTER h.active AND coalesce(h.stock, 1) > 0 AND (h.sku = target AND $sku IS NOT NULL OR EXISTS {
    (h)-[:IN_CATEGORY]->(:Category)-[:SUBCATEGORY_OF]->{0,10}(:Category {path: $category})
  })
  RETURN sum((COUNT { (h)<-[:BOUGHT]-() } + 0.5) / m.share_total) AS closed
}
// The user's own rate, purchases a day: those after the first visit, less what waves explain (Gamma prior).
LET seen = (now - first) / 86400.0,
    bought = size([e IN events WHERE e.what = 'BOUGHT' AND e.at > first + 3600])
LET rate = (m.shape + m.own * bought) / (m.shape / m.rate + seen)
LET open_share = CASE WHEN share > closed THEN share - closed ELSE 0.0 END
CALL (m, events, owned, target, now) {
  UNWIND events AS e
  LET h = e.h, dt = (now - e.at - 3600) / 86400.0
  LET own = e.own, free = h.active AND coalesce(h.stock, 1) > 0 AND NOT h IN owned
  CALL (m, e, h, own, free, owned, target) {
    WHEN e.what = 'BOUGHT' THEN {
      WITH m, h, own, free
      FILTER own AND free
      RETURN 'AGAIN' AS term, m.again AS size, m.again_days AS days, 1.0 AS part
    UNION ALL
      MATCH (h)-[:ACCESSORY_OF|COMPATIBLE_WITH|BOUGHT_WITH]-(q:Product)
      WHERE q <> h
      WITH DISTINCT m, q, owned, target
      RETURN 'RELATED' AS term, m.related AS size, m.related_days AS days,
             sum(CASE
                   WHEN q.active AND coalesce(q.stock, 1) > 0 AND NOT q IN owned
                     AND (q.sku = target AND $sku IS NOT NULL OR EXISTS {
                       (q)-[:IN_CATEGORY]->(:Category)-[:SUBCATEGORY_OF]->{0,10}(:Category {path: $category})
                     }) THEN 1.0
                   ELSE 0.0
                 END) / count(q) AS part
    UNION ALL
      RETURN 'SHELF' AS term, m.shelf_bought AS size, m.shelf_bought_days AS days, null AS part
    }
    WHEN e.what = 'CARTED' THEN {
      WITH m, own, free
      FILTER own AND free
      RETURN 'CARTED' AS term, m.carted AS size, m.carted_days AS days, 1.0 AS part
    }
    ELSE {
      WITH m, own, free
      FILTER own AND free
      RETURN 'VIEWED' AS term, m.viewed AS size, m.viewed_days AS days, 1.0 AS part
    UNION ALL
      RETURN 'SHELF' AS term, m.shelf_viewed AS size, m.shelf_viewed_days AS days, null AS part
    }
  }
  // How much of the wave falls into the days ahead. A wave begins when the visit is over, after an hour.
  LET begin = CASE WHEN dt > 0.0 THEN dt ELSE 0.0 END, end = CASE WHEN dt + $days > 0.0 THEN dt + $days ELSE 0.0 END
  LET wave = m.level * size * (0.5 ^ (begin / days) - 0.5 ^ (end / days))
  // The waves of a shelf are summed first: its share is worked out once.
  WITH term, h, part, wave, CASE WHEN part IS NULL THEN COLLECT {
    MATCH (h)-[:IN_CATEGORY]->(c:Category)
    RETURN c
    ORDER BY c.path
    LIMIT 1
  }[0] END AS shelf
  WITH term, CASE WHEN shelf IS NULL THEN h END AS h, shelf, sum(wave * coalesce(part, 1.0)) AS wave,
       collect(h)[0] AS because
  FILTER wave > 0.0 AND (term <> 'SHELF' OR shelf IS NOT NULL)
  CALL (term, h, shelf, owned, target) {
    WHEN term <> 'SHELF' THEN {
      RETURN 1.0 AS part
    }
    // A shelf counts if it is the target's or below it; for a product, by the product's share of its shelf.
    WHEN $sku IS NULL THEN {
      RETURN CASE WHEN shelf.path = target OR shelf.path STARTS WITH target + ' > ' THEN 1.0 ELSE 0.0 END AS part
    }
    ELSE {
      MATCH (shelf)<-[:IN_CATEGORY]-(q:Product)
      WITH q, COUNT { (q)<-[:BOUGHT]-() } + 0.5 AS weight, owned, target
      LET mine = CASE
                   WHEN q.sku = target AND q.active AND coalesce(q.stock, 1) > 0 AND NOT q IN owned THEN weight
                   ELSE 0.0
                 END
      RETURN sum(mine) / sum(weight) AS part
    }
  }
  LET expected = wave * part
  FILTER expected > 0.0
  ORDER BY expected DESC, because.sku
  RETURN collect({term: term, expected: expected, because: because.title}) AS waves
}
// A visit that is still open: what was looked at or put into the cart in the last hour.
LET open_visit = 1.0 - reduce(away = 1.0, e IN [
  e IN events
  WHERE e.own AND e.at > now - 3600 AND e.what <> 'BOUGHT' AND e.h.active AND coalesce(e.h.stock, 1) > 0
    AND NOT e.h IN owned
] | away * (1.0 - CASE e.what WHEN 'CARTED' THEN m.visit_carted ELSE m.visit_viewed END))
LET habit = m.level * rate * $days * open_share
LET expected = habit + reduce(s = 0.0, w IN waves | s + w.expected)
// Calibrated as a complementary log-log model: log expected is stretched and shifted as the latest months asked for.
LET calibrated = CASE
                   WHEN expected > 0.0 THEN exp(m.intercept + m.slope * log(expected))
                   WHEN m IS NOT NULL THEN 0.0
                 END
RETURN u.id AS user, target, 1.0 - exp(-calibrated) * (1.0 - open_visit) AS probability, expected,
       CASE
         WHEN m IS NULL THEN [
           {term: 'NOT FITTED', because: 'the job "insight" has not run: kg schedule trigger insight'}
         ]
         ELSE [r IN [{term: 'HABIT', expected: habit}] + waves WHERE r.expected > 0.0][..5]
       END AS reasons, m.at AS fitted
