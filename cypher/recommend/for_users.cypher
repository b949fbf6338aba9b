// title: Recommendations for many users
// description: What recommend/for_user gives, for a list of users in one query: the evaluation and nightly exports run
//   this. The body is that of for_user, word for word. A user named twice gets the rows twice.
// param users: LIST<STRING> -- the users' ids
// param limit: INTEGER = 10 -- most rows for each user
// example: {"users": ["anna", "ben"], "limit": 3}
// returns: user STRING, sku STRING, title STRING, score FLOAT, reasons LIST<MAP>

CYPHER 25
UNWIND $users AS user
OPTIONAL MATCH (u:User {id: user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (promoted:ModelVersion {id: version})
// As maps and lists, read once: a property of a node is looked for anew for each candidate.
LET live = promoted {
  .id, .slot, .half_life_days, .recency, .w_embedding, .w_similar, .w_next, .w_popularity, .w_bought_with,
  .w_viewed_with, .w_accessory_of, .w_compatible_with, .w_substitute_for, .w_variant_of
}
LET own = CASE live.slot WHEN 'blue' THEN u.embedding_blue WHEN 'green' THEN u.embedding_green END
// The history: the 200 products in which the user showed most interest. Interest halves with every half-life before
// the user's own latest event; without times it stays whole. What the user met last counts besides by its place
// in time, which products of one moment share.
CALL (u, live) {
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WHERE coalesce(did.strength, 1.0) > 0.0
  LET days = coalesce((u.last_at.epochSeconds - did.at.epochSeconds) / 86400.0, 0.0)
  LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / coalesce(live.half_life_days, 365.0))
  WITH h, sum(coalesce(did.strength, 1.0) * decay) AS interest, max(did.at.epochSeconds) AS at
  WITH at, collect({product: h, interest: interest}) AS met
  ORDER BY coalesce(at, -9.0e18) DESC
  WITH collect({at: at, met: met}) AS times
  UNWIND range(0, size(times) - 1) AS place
  LET time = times[place]
  UNWIND time.met AS x
  WITH x, CASE WHEN time.at IS NULL THEN 0.0 ELSE coalesce(live.recency, 0.0) ^ place END AS recent
  ORDER BY x.interest DESC, x.product.sku
  LIMIT 200
  WITH collect({product: x.product, interest: x.interest, recent: recent}) AS past, sum(x.interest) AS total
  // After centuries nothing is left of an interest: then all are nothing, and so is their sum.
  LET whole = CASE WHEN total > 0.0 THEN sqrt(total) ELSE 1.0 END
  RETURN [x IN past | {product: x.product, interest: x.interest / whole, recent: x.recent}] AS history
}
CALL (u, own, live, history) {
  // Candidates, each with one part of its score. What the history leads to comes completely, so the sum of a
  // product's parts is exact wherever the product was found.
  CALL (u, own, live, history) {
    // Learned relations.
    UNWIND history AS past
    LET h = past.product
    MATCH (h)-[r:SIMILAR_TO {model: live.id}]->(p:Product)
    LET part = live.w_similar * past.interest * r.weight
               + coalesce(live.w_next, 0.0) * past.recent * coalesce(r.next, 0.0)
    RETURN p, part, 'SIMILAR_TO' AS term, h, 0 AS known, null AS told
  UNION ALL
    // Explicit relations, in either direction; several sources of one relation count once.
    UNWIND history AS past
    LET h = past.product
    MATCH (h)-[r:BOUGHT_WITH|VIEWED_WITH|ACCESSORY_OF|COMPATIBLE_WITH|SUBSTITUTE_FOR|VARIANT_OF]-(p:Product)
    WHERE p <> h
    WITH DISTINCT h, past.interest AS interest, type(r) AS term, p
    LET weight = CASE term
                   WHEN 'BOUGHT_WITH' THEN live.w_bought_with
                   WHEN 'VIEWED_WITH' THEN live.w_viewed_with
                   WHEN 'ACCESSORY_OF' THEN live.w_accessory_of
                   WHEN 'COMPATIBLE_WITH' THEN live.w_compatible_with
                   WHEN 'SUBSTITUTE_FOR' THEN live.w_substitute_for
                   ELSE live.w_variant_of
                 END
    FILTER weight > 0.0
    RETURN p, weight * interest AS part, term, h, 0 AS known, null AS told
  UNION ALL
    // The nearest of the live slot's index. Its name cannot be a parameter, so each slot has its branch.
    CALL (own, live) {
      WHEN live.slot = 'blue' AND own IS NOT NULL THEN {
        MATCH (p:Product)
          SEARCH p IN (VECTOR INDEX product_embedding_blue FOR own WHERE p.active = true LIMIT 200)
          SCORE AS s
        RETURN p, s
      }
      WHEN live.slot = 'green' AND own IS NOT NULL THEN {
        MATCH (p:Product)
          SEARCH p IN (VECTOR INDEX product_embedding_green FOR own WHERE p.active = true LIMIT 200)
          SCORE AS s
        RETURN p, s
      }
    }
    // The index gives (1 + cosine) / 2.
    RETURN p, 0.0 AS part, null AS term, null AS h, 0 AS known, 2.0 * s - 1.0 AS told
  UNION ALL
    // The most popular of what is sold.
    MATCH (p:Product)
    WHERE p.popularity >= 0.0 AND p.active AND coalesce(p.stock, 1) > 0
    WITH p
    ORDER BY p.popularity DESC
    LIMIT $limit + 200
    RETURN p, 0.0 AS part, null AS term, null AS h, 0 AS known, null AS told
  UNION ALL
    // Somebody may have hundreds of these, and while no model is live little else is found: as many again of the rest.
    CALL (u, live) {
      WHEN live IS NULL AND COUNT { (u)-->() } > 200 THEN {
        MATCH (u)-[did:BOUGHT|RATED|DISLIKED|RETURNED|HIDDEN]->(p:Product)
        WHERE NOT type(did) IN ['BOUGHT', 'RATED'] OR NOT coalesce(p.consumable, false) OR did.rating < 3.0
        WITH collect(DISTINCT p) AS had
        MATCH (p:Product)
        WHERE p.popularity >= 0.0 AND p.active AND coalesce(p.stock, 1) > 0 AND NOT p IN had
        WITH p
        ORDER BY p.popularity DESC
        LIMIT $limit + 200
        RETURN p
      }
    }
    RETURN p, 0.0 AS part, null AS term, null AS h, 0 AS known, null AS told
  UNION ALL
    // What the user has, or does not want; what is consumed is bought again.
    MATCH (u)-[did:BOUGHT|RATED|DISLIKED|RETURNED|HIDDEN]->(p:Product)
    WHERE NOT type(did) IN ['BOUGHT', 'RATED'] OR NOT coalesce(p.consumable, false) OR did.rating < 3.0
    RETURN p, 0.0 AS part, null AS term, null AS h, 1 AS known, null AS told
  }
  WITH p, sum(part) AS parts, max(known) AS known, max(told) AS told,
       collect(CASE WHEN part > 0.0 THEN {term: term, part: part, product: h} END) AS paths
  FILTER p.active AND coalesce(p.stock, 1) > 0
  FILTER known = 0 // the known-filter
  // The index has told it of the nearest, and to read a vector takes longer than all else of a product.
  LET cosine = CASE
                 WHEN told IS NOT NULL THEN told
                 WHEN live.slot = 'blue' THEN 2.0 * vector.similarity.cosine(own, p.embedding_blue) - 1.0
                 WHEN live.slot = 'green' THEN 2.0 * vector.similarity.cosine(own, p.embedding_green) - 1.0
               END,
      popular = coalesce(live.w_popularity, 1.0) * coalesce(p.popularity, 0.0)
  LET near = live.w_embedding * coalesce(cosine, 0.0)
  WITH p, paths, near, popular, parts + coalesce(near, 0.0) + popular AS score
  ORDER BY score DESC, p.sku
  LIMIT $limit
  // The three strongest terms are the reasons.
  CALL (u, paths, near, popular) {
    LET terms = paths + [{term: 'EMBEDDING', part: near}, {term: 'POPULARITY', part: popular}]
    LET all = [one IN terms WHERE one.part > 0.0]
    LET whole = reduce(s = 0.0, one IN all | s + one.part)
    UNWIND all AS reason
    WITH reason, whole
    ORDER BY reason.part DESC, reason.term, reason.product.sku
    LIMIT 3
    // What the user regrets has its share, but is not named.
    LET h = reason.product
    LET named = NOT EXISTS {
      MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h)
      WHERE type(no) <> 'RATED' OR no.rating < 3.0
    }
    RETURN collect({
             term: reason.term, share: reason.part / whole, because: CASE WHEN named THEN h.title END
           }) AS reasons
  }
  RETURN p.sku AS sku, p.title AS title, score, reasons
}
RETURN user, sku, title, score, reasons
ORDER BY user, score DESC, sku
