// title: Recommendations for one user within business filters
// description: What recommend/for_user would rank highest among the products that pass every filter given; null, or an
//   empty list, filters nothing. Never fewer rows than the limit while enough products match. How they are found is
//   chosen by cheap counts and told in the column plan: 'exact subset' scores every match, entered through the rarest
//   filter; 'in-index filter' lets the vector index itself keep to the category and the prices; 'over-fetch' filters
//   the nearest, the most popular and what the history leads to. Where few of these match, and something beyond them
//   might score higher than the last row, the exact subset is scored after all. Pins come first, in their order, where
//   they match; boosts are added to the score. Left out in any case is what the user bought or rated, unless it is
//   consumed, what the user regrets (returned, disliked, hid, or rated below 3), which no reason names either, and what
//   is inactive or out of stock.
// param user: STRING -- the user's id
// param category: STRING = null -- path of a category, its sub-categories included
// param min_price: FLOAT = null -- cheapest price
// param max_price: FLOAT = null -- dearest price
// param brands: LIST<STRING> = null -- keys of brands, one of which must make it
// param not_brands: LIST<STRING> = null -- keys of brands that must not
// param in_stock: BOOLEAN = null -- true: only what is known to be in stock
// param attributes: LIST<STRING> = null -- keys of attribute values, all of which it must have
// param any_attributes: LIST<STRING> = null -- keys of attribute values, one of which it must have
// param not_attributes: LIST<STRING> = null -- keys of attribute values that it must not have
// param fits: STRING = null -- sku of a product with which, or with whose brand or shelf, it must go, unless it is said
//   not to
// param pins: LIST<STRING> = null -- skus that stand first
// param boosts: MAP = {} -- sku to what is added to its score
// param brand_boosts: MAP = {} -- key of a brand to what is added to the score of its products
// param exact: INTEGER = 2000 -- with fewer products behind the rarest filter, every match is scored
// param limit: INTEGER = 10 -- most rows to return
// example: {"user": "anna", "category": "Accessories", "max_price": 20.0, "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, reasons LIST<MAP>, plan STRING

CYPHER 25
OPTIONAL MATCH (u:User {id: $user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (promoted:ModelVersion {id: version})
// As maps and lists, read once: a property of a node is looked for anew for each candidate.
LET live = promoted {
  .id, .slot, .half_life_days, .recency, .w_embedding, .w_similar, .w_next, .w_popularity, .w_bought_with,
  .w_viewed_with, .w_accessory_of, .w_compatible_with, .w_substitute_for, .w_variant_of
}
LET own = CASE live.slot WHEN 'blue' THEN u.embedding_blue WHEN 'green' THEN u.embedding_green END
OPTIONAL MATCH (that:Product {sku: $fits})
// 1. What the filters name, and how many products stand behind each: degrees, which Neo4j keeps, and for prices a
// count in the index that stops where it no longer matters.
CALL () {
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(shelf:Category)
  WITH DISTINCT shelf
  RETURN collect(shelf) AS shelves, sum(COUNT { (shelf)<-[:IN_CATEGORY]-() }) AS onShelves,
         all(path IN collect(shelf.path) WHERE path + ' > ' STARTS WITH $category + ' > ') AS nested
}
// Products note their shelf, by which the vector index can keep to a category whose sub-categories have its path before
// theirs; those that stand here as on a second shelf are looked up.
CALL (nested) {
  WHEN $category IS NOT NULL AND nested THEN {
    MATCH (p:Product)
    WHERE p.also_on STARTS WITH $category + ' > '
    WITH p
    LIMIT $exact + 1
    RETURN count(p) AS ofAlso
  }
  ELSE {
    RETURN null AS ofAlso
  }
}
// What begins with the path and ' > ' lies between these two: '!' is the character after the space.
LET shelved = coalesce(ofAlso <= $exact, false), first = $category + ' > ', last = $category + ' >!'
CALL () {
  MATCH (b:Brand)
  WHERE b.key IN $brands
  RETURN sum(COUNT { (b)<-[:MADE_BY]-() }) AS ofBrands
}
CALL () {
  UNWIND $attributes AS key
  OPTIONAL MATCH (v:AttributeValue {key: key})
  WITH key, COUNT { (v)<-[:HAS_ATTRIBUTE]-() } AS n
  ORDER BY n, key
  LIMIT 1
  RETURN collect(key)[0] AS rarest, sum(n) AS ofRarest
}
CALL () {
  MATCH (v:AttributeValue)
  WHERE v.key IN $any_attributes
  RETURN sum(COUNT { (v)<-[:HAS_ATTRIBUTE]-() }) AS ofAny
}
CALL (that) {
  MATCH (that)-[:MADE_BY|IN_CATEGORY]->(kind)
  WITH DISTINCT kind
  RETURN collect(kind) AS kinds, sum(COUNT { (kind)<-[:ACCESSORY_OF|COMPATIBLE_WITH]-() }) AS ofKinds
}
// What is said not to fit. What is said of the two products outweighs what is said of a brand or shelf; of two that say
// the contrary of the same thing the surer counts.
CALL (that, kinds) {
  CALL (that, kinds) {
    MATCH (that)-[no:DOES_NOT_FIT]-(x:Product)
    WHERE NOT EXISTS {
      MATCH (that)-[yes:ACCESSORY_OF|COMPATIBLE_WITH]-(x)
      WHERE coalesce(yes.confidence, 1.0) > coalesce(no.confidence, 1.0)
    }
    RETURN x
  UNION
    UNWIND kinds AS kind
    MATCH (kind)<-[no:DOES_NOT_FIT]-(x)
    WHERE NOT EXISTS { (that)-[:ACCESSORY_OF|COMPATIBLE_WITH]-(x) } AND NOT EXISTS {
      MATCH (kind)<-[yes:ACCESSORY_OF|COMPATIBLE_WITH]-(x)
      WHERE coalesce(yes.confidence, 1.0) > coalesce(no.confidence, 1.0)
    }
    RETURN x
  }
  RETURN collect(x) AS misfits
}
LET low = coalesce($min_price, -1.0e300), high = coalesce($max_price, 1.0e300)
CALL (low, high) {
  WHEN $min_price IS NOT NULL OR $max_price IS NOT NULL THEN {
    MATCH (p:Product)
    WHERE low <= p.price <= high
    WITH p
    LIMIT $exact + 1
    RETURN count(p) AS ofPrice
  }
  ELSE {
    RETURN null AS ofPrice
  }
}
// Each filter that is not given is fulfilled.
LET free = {
  category: $category IS NULL,
  brand: coalesce(size($brands), 0) = 0,
  all: coalesce(size($attributes), 0) = 0,
  any: coalesce(size($any_attributes), 0) = 0,
  fitting: $fits IS NULL
}
LET without = {brands: coalesce(size($not_brands), 0) = 0, values: coalesce(size($not_attributes), 0) = 0}
LET products = COUNT { (:Product) }
LET entries = [
  {by: 'everything', n: products},
  // Counted no further than $exact: beyond it any other filter, whose number is known, is the better way in.
  {by: 'price', n: CASE WHEN ofPrice > $exact THEN products - 0.5 ELSE ofPrice END},
  {by: 'category', n: CASE WHEN NOT free.category THEN onShelves END},
  {by: 'brands', n: CASE WHEN NOT free.brand THEN ofBrands END},
  {by: 'attribute', n: CASE WHEN NOT free.all THEN ofRarest END},
  {by: 'any attribute', n: CASE WHEN NOT free.any THEN ofAny END},
  {by: 'fits', n: CASE WHEN NOT free.fitting THEN COUNT { (that)-[:ACCESSORY_OF|COMPATIBLE_WITH]-() } + ofKinds END}
]
LET entry = reduce(least = entries[0], e IN entries[1..] | CASE WHEN e.n < least.n THEN e ELSE least END)
LET priced = ofPrice IS NOT NULL
// 2. Where even the rarest filter leaves many: the nearest and the most popular, and how high something that is neither
// can score. (This comes before any long list is in scope: what is sorted or made distinct is held together with all
// that is in scope.)
CALL (own, live, entry, priced, low, high, shelves, shelved, first, last) {
  WHEN entry.n > $exact THEN {
    CALL (own, live, priced, low, high, shelves, shelved, first, last) {
      // The name of an index cannot be a parameter: each has its branch.
      CALL (own, live, priced, low, high, shelved, first, last) {
        WHEN live.slot = 'blue' AND own IS NOT NULL AND shelved AND priced THEN {
          MATCH (p:Product)
            SEARCH p IN (
              VECTOR INDEX product_embedding_blue FOR own
              WHERE p.active = true AND p.shelf >= first AND p.shelf < last AND p.price >= low AND p.price <= high
              LIMIT 100 + 4 * $limit
            )
            SCORE AS s
          RETURN p, s
        }
        WHEN live.slot = 'green' AND own IS NOT NULL AND shelved AND priced THEN {
          MATCH (p:Product)
            SEARCH p IN (
              VECTOR INDEX product_embedding_green FOR own
              WHERE p.active = true AND p.shelf >= first AND p.shelf < last AND p.price >= low AND p.price <= high
              LIMIT 100 + 4 * $limit
            )
            SCORE AS s
          RETURN p, s
        }
        WHEN live.slot = 'blue' AND own IS NOT NULL AND shelved THEN {
          MATCH (p:Product)
            SEARCH p IN (
              VECTOR INDEX product_embedding_blue FOR own
              WHERE p.active = true AND p.shelf >= first AND p.shelf < last
              LIMIT 100 + 4 * $limit
            )
            SCORE AS s
          RETURN p, s
        }
        WHEN live.slot = 'green' AND own IS NOT NULL AND shelved THEN {
          MATCH (p:Product)
            SEARCH p IN (
              VECTOR INDEX product_embedding_green FOR own
              WHERE p.active = true AND p.shelf >= first AND p.shelf < last
              LIMIT 100 + 4 * $limit
            )
            SCORE AS s
          RETURN p, s
        }
        WHEN live.slot = 'blue' AND own IS NOT NULL AND priced THEN {
          MATCH (p:Product)
            SEARCH p IN (
              VECTOR INDEX product_embedding_blue FOR own
              WHERE p.active = true AND p.price >= low AND p.price <= high
              LIMIT 400 + 4 * $limit
            )
            SCORE AS s
          RETURN p, s
        }
        WHEN live.slot = 'green' AND own IS NOT NULL AND priced THEN {
          MATCH (p:Product)
            SEARCH p IN (
              VECTOR INDEX product_embedding_green FOR own
              WHERE p.active = true AND p.price >= low AND p.price <= high
              LIMIT 400 + 4 * $limit
            )
            SCORE AS s
          RETURN p, s
        }
        WHEN live.slot = 'blue' AND own IS NOT NULL THEN {
          MATCH (p:Product)
            SEARCH p IN (
              VECTOR INDEX product_embedding_blue FOR own WHERE p.active = true LIMIT 400 + 4 * $limit
            )
            SCORE AS s
          RETURN p, s
        }
        WHEN live.slot = 'green' AND own IS NOT NULL THEN {
          MATCH (p:Product)
            SEARCH p IN (
              VECTOR INDEX product_embedding_green FOR own WHERE p.active = true LIMIT 400 + 4 * $limit
            )
            SCORE AS s
          RETURN p, s
        }
      }
      // The index gives (1 + cosine) / 2.
      RETURN p, 2.0 * s - 1.0 AS cosine, null AS popularity
    UNION ALL
      CALL (shelves, shelved) {
        WHEN shelved AND size(shelves) <= 20 THEN {
          UNWIND shelves AS shelf
          CALL (shelf) {
            MATCH (p:Product)
            WHERE p.shelf = shelf.path + ' > ' AND p.popularity >= 0.0
            WITH p, p.popularity AS popularity
            ORDER BY p.shelf DESC, p.popularity DESC
            LIMIT 10 + $limit
            RETURN collect(p) AS some, min(popularity) AS least
          }
          // What such a shelf holds beyond these is no more popular than the last of them.
          LET popularity = CASE WHEN size(some) < 10 + $limit THEN 0.0 ELSE least END
          UNWIND some AS p
          RETURN p, popularity
        }
        ELSE {
          MATCH (p:Product)
          WHERE p.popularity >= 0.0
          WITH p, p.popularity AS popularity
          ORDER BY p.popularity DESC
          LIMIT 400 + 4 * $limit
          WITH collect(p) AS some, min(popularity) AS popularity
          UNWIND some AS p
          RETURN p, popularity
        }
      }
      RETURN p, null AS cosine, popularity
    UNION ALL
      MATCH (p:Product)
      WHERE shelved AND p.also_on STARTS WITH first
      RETURN p, null AS cosine, null AS popularity
    UNION ALL
      MATCH (p:Product)
      WHERE p.sku IN coalesce($pins, []) + keys($boosts)
      RETURN p, null AS cosine, null AS popularity
    UNION ALL
      MATCH (b:Brand)
      WHERE b.key IN keys($brand_boosts)
      MATCH (b)<-[:MADE_BY]-(p:Product)
      RETURN p, null AS cosine, null AS popularity
    }
    WITH p, max(cosine) AS cosine, max(popularity) AS popularity
    WITH collect({p: p, cosine: cosine}) AS pool, coalesce(live.w_embedding * min(cosine), 0.0) AS near,
         coalesce(live.w_popularity, 1.0) * coalesce(max(popularity), 0.0) AS popular
    // What has no vector is as good as at a right angle.
    LET farthest = CASE WHEN near > 0.0 THEN near ELSE 0.0 END
    RETURN pool, farthest, farthest + popular AS beyond
  }
  ELSE {
    RETURN [] AS pool, null AS farthest, null AS beyond
  }
}
// 3. The history, as recommend/for_user weighs it, and the parts of the score to which it leads.
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
CALL (live, history) {
  CALL (live, history) {
    UNWIND history AS past
    LET h = past.product
    MATCH (h)-[r:SIMILAR_TO {model: live.id}]->(p:Product)
    LET part = live.w_similar * past.interest * r.weight
               + coalesce(live.w_next, 0.0) * past.recent * coalesce(r.next, 0.0)
    RETURN p, part, 'SIMILAR_TO' AS term, h
  UNION ALL
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
    RETURN p, weight * interest AS part, term, h
  }
  WITH p, sum(part) AS parts, collect(CASE WHEN part > 0.0 THEN {term: term, part: part, product: h} END) AS paths
  RETURN collect({p: p, parts: parts, paths: paths}) AS led
}
CALL (u) {
  MATCH (u)-[did:BOUGHT|RATED|DISLIKED|RETURNED|HIDDEN]->(p:Product)
  WHERE NOT type(did) IN ['BOUGHT', 'RATED'] OR NOT coalesce(p.consumable, false) OR did.rating < 3.0
  RETURN collect(DISTINCT p) AS known
}
// 4. Which candidates pass the filters: the pool, where there is one, and in any case what the history leads to.
// A product has many relations beside those to its shelves, and all are walked to find these. What stands on few
// shelves is gathered from them instead.
LET few = onShelves <= 10 * $exact
CALL (few, shelves) {
  UNWIND CASE WHEN few THEN shelves ELSE [] END AS shelf
  MATCH (shelf)<-[:IN_CATEGORY]-(p)
  RETURN collect(p) AS stocked
}
CALL (pool, led, free, without, that, kinds, misfits, shelves, few, stocked) {
  // By their own properties first, which are at hand; only what is left is looked at from node to node.
  CALL (pool, led) {
    UNWIND pool + led AS one
    WITH one.p AS p, max(one.cosine) AS cosine
    FILTER p.active AND coalesce(p.stock, 1) > 0 AND (NOT coalesce($in_stock, false) OR p.stock > 0)
    FILTER ($min_price IS NULL OR p.price >= $min_price) AND ($max_price IS NULL OR p.price <= $max_price)
    RETURN collect({p: p, cosine: cosine}) AS possible
  }
  UNWIND possible AS one
  LET p = one.p
  LET is = free
  FILTER is.category
    OR CASE WHEN few THEN p IN stocked ELSE EXISTS { MATCH (p)-[:IN_CATEGORY]->(c) WHERE c IN shelves } END
  FILTER is.brand OR EXISTS { MATCH (p)-[:MADE_BY]->(b) WHERE b.key IN $brands }
  FILTER is.all OR all(key IN $attributes WHERE EXISTS { MATCH (p)-[:HAS_ATTRIBUTE]->(v) WHERE v.key = key })
  FILTER is.any OR EXISTS { MATCH (p)-[:HAS_ATTRIBUTE]->(v) WHERE v.key IN $any_attributes }
  FILTER is.fitting OR EXISTS { (p)-[:ACCESSORY_OF]->(that) } OR EXISTS { (p)-[:COMPATIBLE_WITH]-(that) }
    OR EXISTS { MATCH (p)-[:ACCESSORY_OF|COMPATIBLE_WITH]->(kind) WHERE kind IN kinds }
  FILTER NOT p IN misfits
  FILTER without.brands OR NOT EXISTS { MATCH (p)-[:MADE_BY]->(b) WHERE b.key IN $not_brands }
  FILTER without.values OR NOT EXISTS { MATCH (p)-[:HAS_ATTRIBUTE]->(v) WHERE v.key IN $not_attributes }
  RETURN collect(one) AS passed
}
// 5. The score of each that passed, and the best of them. Sorted as one list: a row that is sorted is held with all
// that is in scope, and 200 of them, for a busy user, were more than a query may have.
CALL (own, live, led, known, passed) {
  CALL (led, known, passed) {
    CALL (led, known, passed) {
      UNWIND passed AS one
      RETURN one.p AS p, one.cosine AS told, 0.0 AS part, [] AS some, 1 AS passing, 0 AS met
    UNION ALL
      UNWIND led AS one
      RETURN one.p AS p, null AS told, one.parts AS part, one.paths AS some, 0 AS passing, 0 AS met
    UNION ALL
      UNWIND known AS p
      RETURN p, null AS told, 0.0 AS part, [] AS some, 0 AS passing, 1 AS met
    }
    WITH p, max(told) AS told, sum(part) AS parts, max(passing) AS passing, max(met) AS met, collect(some) AS paths
    FILTER passing = 1 AND met = 0
    RETURN p, told, parts, paths
  }
  // The index has told it of the nearest: to read a vector takes longer than all else of a product.
  LET cosine = CASE
                 WHEN told IS NOT NULL THEN told
                 WHEN live.slot = 'blue' THEN 2.0 * vector.similarity.cosine(own, p.embedding_blue) - 1.0
                 WHEN live.slot = 'green' THEN 2.0 * vector.similarity.cosine(own, p.embedding_green) - 1.0
               END,
      popular = coalesce(live.w_popularity, 1.0) * coalesce(p.popularity, 0.0),
      lift = CASE
               WHEN size(keys($boosts)) + size(keys($brand_boosts)) = 0 THEN 0.0
               ELSE coalesce(toFloatOrNull($boosts[p.sku]), 0.0)
                    + reduce(s = 0.0, key IN COLLECT { MATCH (p)-[:MADE_BY]->(b) RETURN DISTINCT b.key } |
                             s + coalesce(toFloatOrNull($brand_boosts[key]), 0.0))
             END,
      pin = CASE WHEN size($pins) > 0 THEN [i IN range(0, size($pins) - 1) WHERE $pins[i] = p.sku][0] END
  LET near = live.w_embedding * coalesce(cosine, 0.0)
  LET score = parts + coalesce(near, 0.0) + popular + lift
  WITH collect([
         coalesce(pin, 1000000), -score, p.sku,
         {p: p, paths: paths, near: near, popular: popular, lift: lift, pin: pin, score: score}
       ]) AS scored
  RETURN [x IN coll.sort(scored)[..$limit] | x[3]] AS top
}
// 6. Where the rarest filter leaves few, or few candidates passed and something beyond them might be of the best: every
// match. Those to which the history leads are among the candidates already; of the others, whose score is what they are
// alone, the best are enough. (Where one of the former stands among these best, its score is no less than what it is
// alone.) Where many candidates pass, nearest first, they hold .995 of the best or more on the synthetic shop.
LET enough = entry.n > $exact AND size(top) = $limit
             AND (size(passed) >= 50 + 4 * $limit + size(known)
                  OR all(x IN top WHERE x.pin IS NOT NULL OR x.score >= beyond))
// What is not among the nearest is no nearer than the farthest of them, so that by its popularity alone it can be told
// whether it may reach the last row: a vector takes ten times as long to read. Where few products are as popular as
// that, they are looked at in place of all that stand behind the rarest filter.
LET floor = CASE WHEN size(top) = $limit THEN top[-1].score END
LET rate = coalesce(live.w_popularity, 1.0)
LET least = CASE WHEN rate > 0.0 AND floor > farthest THEN (floor - farthest) / rate END
CALL (enough, least) {
  WHEN NOT enough AND least IS NOT NULL THEN {
    MATCH (p:Product)
    WHERE p.popularity >= least
    WITH p
    LIMIT 4 * $exact
    RETURN count(p) AS asPopular
  }
  ELSE {
    RETURN null AS asPopular
  }
}
LET way = CASE WHEN asPopular < 4 * $exact AND asPopular < entry.n THEN 'popularity' ELSE entry.by END
CALL (
  own, live, known, enough, least, way, rarest, low, high, free, without, that, kinds, misfits, shelves, few, stocked
) {
  WHEN enough THEN {
    RETURN [] AS best
  }
  ELSE {
    // The filters again, word for word, save the one by which it is entered.
    LET is = {
      category: free.category OR way = 'category',
      brand: free.brand OR way = 'brands',
      all: free.all,
      any: free.any OR way = 'any attribute',
      fitting: free.fitting OR way = 'fits'
    }
    CALL (way, least, rarest, low, high, that, kinds, shelves, few, stocked) {
      WHEN way = 'category' AND few THEN {
        UNWIND stocked AS p
        RETURN DISTINCT p
      }
      WHEN way = 'category' THEN {
        UNWIND shelves AS shelf
        MATCH (shelf)<-[:IN_CATEGORY]-(p:Product)
        RETURN DISTINCT p
      }
      WHEN way = 'brands' THEN {
        MATCH (b:Brand)
        WHERE b.key IN $brands
        MATCH (b)<-[:MADE_BY]-(p:Product)
        RETURN DISTINCT p
      }
      WHEN way = 'attribute' THEN {
        MATCH (v:AttributeValue {key: rarest})<-[:HAS_ATTRIBUTE]-(p:Product)
        RETURN DISTINCT p
      }
      WHEN way = 'any attribute' THEN {
        MATCH (v:AttributeValue)
        WHERE v.key IN $any_attributes
        MATCH (v)<-[:HAS_ATTRIBUTE]-(p:Product)
        RETURN DISTINCT p
      }
      WHEN way = 'fits' THEN {
        MATCH (that)<-[:ACCESSORY_OF]-(p:Product)
        RETURN p
      UNION
        MATCH (that)-[:COMPATIBLE_WITH]-(p:Product)
        RETURN p
      UNION
        UNWIND kinds AS kind
        MATCH (kind)<-[:ACCESSORY_OF|COMPATIBLE_WITH]-(p:Product)
        RETURN p
      }
      WHEN way = 'price' THEN {
        MATCH (p:Product)
        WHERE low <= p.price <= high
        RETURN p
      }
      WHEN way = 'popularity' THEN {
        MATCH (p:Product)
        WHERE p.popularity >= least
        RETURN p
      }
      ELSE {
        // Every product, by the index of its key.
        MATCH (p:Product)
        WHERE p.sku >= ''
        RETURN p
      }
    }
    FILTER p.active AND coalesce(p.stock, 1) > 0 AND (NOT coalesce($in_stock, false) OR p.stock > 0)
    FILTER ($min_price IS NULL OR p.price >= $min_price) AND ($max_price IS NULL OR p.price <= $max_price)
    FILTER least IS NULL OR p.popularity >= least
    FILTER is.category
      OR CASE WHEN few THEN p IN stocked ELSE EXISTS { MATCH (p)-[:IN_CATEGORY]->(c) WHERE c IN shelves } END
    FILTER is.brand OR EXISTS { MATCH (p)-[:MADE_BY]->(b) WHERE b.key IN $brands }
    FILTER is.all OR all(key IN $attributes WHERE EXISTS { MATCH (p)-[:HAS_ATTRIBUTE]->(v) WHERE v.key = key })
    FILTER is.any OR EXISTS { MATCH (p)-[:HAS_ATTRIBUTE]->(v) WHERE v.key IN $any_attributes }
    FILTER is.fitting OR EXISTS { (p)-[:ACCESSORY_OF]->(that) } OR EXISTS { (p)-[:COMPATIBLE_WITH]-(that) }
      OR EXISTS { MATCH (p)-[:ACCESSORY_OF|COMPATIBLE_WITH]->(kind) WHERE kind IN kinds }
    FILTER NOT p IN misfits
    FILTER without.brands OR NOT EXISTS { MATCH (p)-[:MADE_BY]->(b) WHERE b.key IN $not_brands }
    FILTER without.values OR NOT EXISTS { MATCH (p)-[:HAS_ATTRIBUTE]->(v) WHERE v.key IN $not_attributes }
    FILTER NOT p IN known
    LET cosine = CASE live.slot
                   WHEN 'blue' THEN 2.0 * vector.similarity.cosine(own, p.embedding_blue) - 1.0
                   WHEN 'green' THEN 2.0 * vector.similarity.cosine(own, p.embedding_green) - 1.0
                 END,
        popular = coalesce(live.w_popularity, 1.0) * coalesce(p.popularity, 0.0),
        lift = CASE
                 WHEN size(keys($boosts)) + size(keys($brand_boosts)) = 0 THEN 0.0
                 ELSE coalesce(toFloatOrNull($boosts[p.sku]), 0.0)
                      + reduce(s = 0.0, key IN COLLECT { MATCH (p)-[:MADE_BY]->(b) RETURN DISTINCT b.key } |
                               s + coalesce(toFloatOrNull($brand_boosts[key]), 0.0))
               END,
        pin = CASE WHEN size($pins) > 0 THEN [i IN range(0, size($pins) - 1) WHERE $pins[i] = p.sku][0] END
    LET near = live.w_embedding * coalesce(cosine, 0.0)
    LET score = coalesce(near, 0.0) + popular + lift
    WITH collect([coalesce(pin, 1000000), -score, p.sku, p, near, popular, lift, pin]) AS scored
    RETURN [x IN coll.sort(scored)[..$limit] |
              {p: x[3], paths: [], near: x[4], popular: x[5], lift: x[6], pin: x[7], score: -x[1]}] AS best
  }
}
LET within = (priced OR shelved) AND (shelved OR free.category) AND without.brands AND without.values
             AND all(name IN keys(free) WHERE name = 'category' OR free[name])
LET plan = CASE WHEN NOT enough THEN 'exact subset' WHEN within THEN 'in-index filter' ELSE 'over-fetch' END
// A product of both counts once, with its relations. (Aggregated, rows leave all else that was in scope behind.)
UNWIND top + best AS x
WITH u, plan, x.p AS p, max(x.score) AS score, collect(x) AS both
LET x = [y IN both WHERE y.score = score][0]
LET paths = x.paths, near = x.near, popular = x.popular, lift = x.lift, pin = x.pin
ORDER BY coalesce(pin, 1000000), score DESC, p.sku
LIMIT $limit
// The three strongest terms are the reasons.
CALL (u, paths, near, popular, lift) {
  LET parts = reduce(all = [], some IN paths | all + some)
              + [{term: 'EMBEDDING', part: near}, {term: 'POPULARITY', part: popular}, {term: 'BOOST', part: lift}]
  LET all = [one IN parts WHERE one.part > 0.0]
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
         }) AS terms
}
LET reasons = CASE WHEN pin IS NULL THEN [] ELSE [{term: 'PINNED', share: null, because: null}] END + terms
RETURN p.sku AS sku, p.title AS title, score, reasons, plan
ORDER BY coalesce(pin, 1000000), score DESC, sku
