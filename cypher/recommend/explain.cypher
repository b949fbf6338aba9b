// title: Why this product is recommended to this user
// description: Paths from the user to the product over explicit relations, one a row, the strongest first: something
//   the user did and does not regret (returned, disliked, hid, or rated below 3), then a relation between that product
//   and this one, or something that both share, or others who took both. The weight is the interest shown, halved for
//   every 90 days before the user's last event, times the strength of the link: the confidence of what was read, the
//   rarity of what is shared, the cosine of who bought both, and for a learned relation its share of the strongest;
//   share is its share of all paths' weights. The sentence says it in English or Chinese, with the surest words of a
//   text that support it. Evidence counts the places in texts behind the path; give steps as $path to
//   recommend/explain_path to read them. Terms are those of the score of recommend/for_user for the two, with what each
//   adds and its share of what speaks for the product, 0 where it speaks against it, the same on every row. Drop is by
//   how much that score would fall had the user done nothing with the path's first product: without its relations and
//   its place in the sequence, the others counting the more, and the user's vector at the mean of the rest, as folding
//   in places it. Paths that begin with a product which carries the score, with a drop above 0, come before the others.
//   No row: no explicit path is known.
// param user: STRING -- the user's id
// param sku: STRING -- the product's sku
// param language: STRING = 'en' -- of the sentences: 'en' or 'zh'; any other is answered in English
// param limit: INTEGER = 10 -- most paths to return
// example: {"user": "ben", "sku": "S1"}
// returns: kind STRING, path LIST<STRING>, weight FLOAT, share FLOAT, sentence STRING, evidence INTEGER, facts
//   LIST<STRING>, steps LIST<MAP>, terms LIST<MAP>, drop FLOAT

CYPHER 25
MATCH (u:User {id: $user})
MATCH (t:Product {sku: $sku})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
// The terms of the score, as recommend/for_user adds them up, for this product alone.
CALL (u, t, live) {
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
    RETURN [x IN past | {product: x.product, interest: x.interest / whole, recent: x.recent}] AS history,
           total
  }
  CALL (u, t, live, history) {
    UNWIND history AS past
    LET h = past.product
    MATCH (h)-[r:SIMILAR_TO {model: live.id}]->(t)
    RETURN 'SIMILAR_TO' AS term, h.sku AS because, live.w_similar * past.interest * r.weight AS part,
           coalesce(live.w_next, 0.0) * past.recent * coalesce(r.next, 0.0) AS onward
  UNION ALL
    UNWIND history AS past
    LET h = past.product
    MATCH (h)-[r:BOUGHT_WITH|VIEWED_WITH|ACCESSORY_OF|COMPATIBLE_WITH|SUBSTITUTE_FOR|VARIANT_OF]-(t)
    WHERE h <> t
    WITH DISTINCT h, past.interest AS interest, type(r) AS term, live
    RETURN term, h.sku AS because,
           interest * CASE term
                        WHEN 'BOUGHT_WITH' THEN live.w_bought_with
                        WHEN 'VIEWED_WITH' THEN live.w_viewed_with
                        WHEN 'ACCESSORY_OF' THEN live.w_accessory_of
                        WHEN 'COMPATIBLE_WITH' THEN live.w_compatible_with
                        WHEN 'SUBSTITUTE_FOR' THEN live.w_substitute_for
                        ELSE live.w_variant_of
                      END AS part,
           0.0 AS onward
  UNION ALL
    RETURN 'EMBEDDING' AS term, null AS because,
           live.w_embedding * CASE live.slot
             WHEN 'blue' THEN 2.0 * vector.similarity.cosine(u.embedding_blue, t.embedding_blue) - 1.0
             WHEN 'green' THEN 2.0 * vector.similarity.cosine(u.embedding_green, t.embedding_green) - 1.0
           END AS part,
           0.0 AS onward
  UNION ALL
    RETURN 'POPULARITY' AS term, null AS because,
           coalesce(live.w_popularity, 1.0) * coalesce(t.popularity, 0.0) AS part, 0.0 AS onward
  }
  WITH live, t, history, total,
       collect({term: term, because: because, part: coalesce(part, 0.0), onward: onward}) AS found
  CALL (found) {
    UNWIND found AS x
    LET part = x.part + x.onward
    WITH x.term AS term, sum(part) AS part, sum(CASE WHEN part > 0.0 THEN part ELSE 0.0 END) AS speaking
    FILTER part <> 0.0
    WITH term, part, speaking
    ORDER BY part DESC, term
    WITH collect({term: term, part: part, speaking: speaking}) AS summed, sum(speaking) AS whole
    RETURN [x IN summed | {
      term: x.term, part: x.part, share: CASE WHEN whole > 0.0 THEN x.speaking / whole ELSE 0.0 END
    }] AS terms
  }
  // The score without each product of the history in turn. The relations give Σ interest · weight / √Σ interest, so the
  // rest of them is divided by less; in the sequence all that is older moves up one place; and the user's vector, the
  // mean of the products' by interest, is that of the others.
  CALL (live, t, history, total, found) {
    UNWIND history AS past
    LET h = past.product
    LET parts = [x IN found WHERE x.because = h.sku],
        v = CASE live.slot WHEN 'blue' THEN h.embedding_blue WHEN 'green' THEN h.embedding_green END
    RETURN collect({
      sku: h.sku, interest: past.interest, recent: past.recent, vector: v,
      through: reduce(s = 0.0, x IN parts | s + x.part), onward: reduce(s = 0.0, x IN parts | s + x.onward)
    }) AS each
  }
  LET target = CASE live.slot WHEN 'blue' THEN t.embedding_blue WHEN 'green' THEN t.embedding_green END
  LET through = reduce(s = 0.0, x IN each | s + x.through),
      known = [x IN each WHERE x.vector IS NOT NULL AND target IS NOT NULL]
  LET mean = [i IN range(0, size(coalesce(target, [])) - 1) |
                reduce(s = 0.0, x IN known | s + x.interest * x.vector[i])]
  LET along = reduce(s = 0.0, i IN range(0, size(mean) - 1) | s + mean[i] * target[i]),
      squared = reduce(s = 0.0, y IN mean | s + y * y)
  CALL (live, each, total, target, through, mean, along, squared) {
    UNWIND each AS x
    // An interest is divided by √total already, so that all of them add up to √total.
    LET rest = sqrt(total) - x.interest
    LET relations = through - CASE
                      WHEN rest > 1e-9 * sqrt(total) THEN (through - x.through) * sqrt(sqrt(total) / rest)
                      ELSE 0.0
                    END,
        sequence = reduce(s = x.onward, y IN each |
          s - CASE
                WHEN live.recency > 0.0 AND x.recent > 0.0 AND y.recent < x.recent
                     AND none(z IN each WHERE z.recent = x.recent AND z.sku <> x.sku)
                  THEN y.onward * (1.0 / live.recency - 1.0)
                ELSE 0.0
              END)
    LET onto = CASE WHEN x.vector IS NULL THEN 0.0
                    ELSE reduce(s = 0.0, i IN range(0, size(mean) - 1) | s + mean[i] * x.vector[i]) END,
        own = CASE WHEN x.vector IS NULL THEN 0.0
                   ELSE reduce(s = 0.0, i IN range(0, size(mean) - 1) | s + target[i] * x.vector[i]) END,
        counts = CASE WHEN x.vector IS NULL THEN 0.0 ELSE x.interest END
    LET left = squared - 2.0 * counts * onto + counts * counts
    LET near = CASE WHEN squared > 1e-12 THEN along / sqrt(squared) ELSE 0.0 END
               - CASE WHEN left > 1e-9 * squared THEN (along - counts * own) / sqrt(left) ELSE 0.0 END
    RETURN collect({sku: x.sku, drop: relations + sequence + coalesce(live.w_embedding, 0.0) * near}) AS drops
  }
  RETURN terms, drops
}
// The user's 30 strongest interests, one a product. What is regretted is no reason for anything.
CALL (u) {
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WITH h, did,
       did.strength * 0.5 ^ (coalesce(duration.inSeconds(did.at, u.last_at).seconds, 0) / (90 * 86400.0)) AS interest
  ORDER BY interest DESC, did.at DESC, h.sku
  LIMIT 200
  WITH h, collect(type(did))[0] AS verb, max(interest) AS interest
  WHERE NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  RETURN h, verb, interest
  ORDER BY interest DESC, h.sku
  LIMIT 30
}
LET drop = coalesce([x IN drops WHERE x.sku = h.sku | x.drop][0], 0.0)
LET did = u.id + ' ' + verb + ' ' + h.title
// Both ends are bound from here on, so that no branch ever fans out from a popular node.
LET step = {type: verb, from: u.id, to: h.sku}
CALL (u, t, live, h, verb, interest, did, step) {
  // The product itself.
  WITH *
  WHERE h = t
  RETURN verb AS kind, [did] AS path, interest AS weight, [] AS facts, [step] AS steps, 'itself' AS template,
         null AS name
UNION ALL
  // One names the other. A bought-with or viewed-with of a feed counts less than what it is made for.
  WITH *
  WHERE h <> t
  MATCH (h)-[r:ACCESSORY_OF|COMPATIBLE_WITH|BOUGHT_WITH|VARIANT_OF|SUBSTITUTE_FOR|VIEWED_WITH]-(t)
  LET strength = CASE type(r)
                   WHEN 'ACCESSORY_OF' THEN 1.0
                   WHEN 'COMPATIBLE_WITH' THEN 1.0
                   WHEN 'BOUGHT_WITH' THEN 0.8
                   ELSE 0.5
                 END
  RETURN type(r) AS kind,
         [did, startNode(r).title + ' ' + type(r) + ' ' + endNode(r).title] AS path,
         interest * strength * coalesce(r.confidence, 1.0) AS weight,
         [r.fact] AS facts,
         [step, {type: type(r), from: startNode(r).sku, to: endNode(r).sku}] AS steps,
         type(r) + CASE WHEN type(r) = 'ACCESSORY_OF' AND startNode(r) = h THEN ' other way' ELSE '' END AS template,
         null AS name
UNION ALL
  // One is made for the other's brand or category.
  WITH *
  WHERE h <> t
  MATCH (t)-[r:ACCESSORY_OF|COMPATIBLE_WITH]->(x:Brand|Category)
  MATCH (h)-[m:MADE_BY|IN_CATEGORY]->(x)
  RETURN type(r) AS kind,
         [did, h.title + ' ' + type(m) + ' ' + x.name, t.title + ' ' + type(r) + ' ' + x.name] AS path,
         interest * 0.8 * coalesce(r.confidence, 1.0) / log(2 + COUNT { (x)<-[:MADE_BY|IN_CATEGORY]-() }) AS weight,
         [r.fact, m.fact] AS facts,
         [step, {type: type(m), from: h.sku, to: coalesce(x.key, x.path)},
          {type: type(r), from: t.sku, to: coalesce(x.key, x.path)}] AS steps,
         type(r) + ' kind' AS template,
         x.name AS name
UNION ALL
  // They share a brand, a category, a value or a praised aspect: the rarer, the more it says.
  WITH *
  WHERE h <> t
  MATCH (t)-[r:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|PRAISED_FOR]->(x)
  MATCH (h)-[m:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|PRAISED_FOR]->(x)
  WHERE type(m) = type(r)
  LET name = CASE WHEN x:AttributeValue THEN x.attribute + ' = ' + x.value ELSE x.name END
  RETURN type(r) AS kind,
         [did, h.title + ' ' + type(m) + ' ' + name, t.title + ' ' + type(r) + ' ' + name] AS path,
         interest * 0.5 * coalesce(m.confidence, 1.0) * coalesce(r.confidence, 1.0)
           / log(2 + COUNT { (x)<-[:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|PRAISED_FOR]-() }) AS weight,
         [r.fact, m.fact] AS facts,
         [step, {type: type(m), from: h.sku, to: coalesce(x.key, x.path)},
          {type: type(r), from: t.sku, to: coalesce(x.key, x.path)}] AS steps,
         type(r) AS template,
         name
UNION ALL
  // Others took both. Counted from the less popular of the two, among 500 of its takers at most.
  WITH *
  WHERE h <> t
  LET ofH = COUNT { (h)<-[:BOUGHT|RATED]-() },
      ofT = COUNT { (t)<-[:BOUGHT|RATED]-() }
  LET rare = CASE WHEN ofH <= ofT THEN h ELSE t END,
      other = CASE WHEN ofH <= ofT THEN t ELSE h END
  CALL (u, rare, other) {
    MATCH (rare)<-[a:BOUGHT|RATED]-(o:User)
    WHERE o <> u AND coalesce(a.rating, 5.0) >= 3.0
    WITH DISTINCT o, other
    LIMIT 500
    MATCH (o)-[b:BOUGHT|RATED]->(other)
    WHERE coalesce(b.rating, 5.0) >= 3.0
    RETURN count(DISTINCT o) AS takers
  }
  FILTER takers > 0
  LET people = toString(takers) + CASE takers WHEN 1 THEN ' other user' ELSE ' other users' END
  RETURN 'TAKEN_BY_BOTH' AS kind,
         [did, people + ' took ' + h.title, people + ' took ' + t.title] AS path,
         interest * takers / sqrt(1.0 * ofH * ofT) AS weight,
         [] AS facts,
         [step, {type: 'TAKEN_BY_BOTH', from: h.sku, to: t.sku}] AS steps,
         'TAKEN_BY_BOTH' AS template,
         toString(takers) AS name
UNION ALL
  // Learned, by the model that is live: as a share of the strongest of the two, whatever the model's unit. It tells a
  // person less than any relation that somebody stated.
  WITH *
  WHERE h <> t
  MATCH (h)-[r:SIMILAR_TO {model: live.id}]-(t)
  CALL (r, live) {
    LET from = startNode(r)
    MATCH (from)-[other:SIMILAR_TO {model: live.id}]->()
    RETURN max(other.weight) AS strongest
  }
  RETURN 'SIMILAR_TO' AS kind,
         [did, h.title + ' SIMILAR_TO ' + t.title] AS path,
         interest * 0.3 * CASE WHEN strongest > 0.0 THEN r.weight / strongest ELSE 0.0 END AS weight,
         [] AS facts,
         [step, {type: 'SIMILAR_TO', from: startNode(r).sku, to: endNode(r).sku}] AS steps,
         'SIMILAR_TO' AS template,
         null AS name
}
// Two sources that say the same are one path, and their evidence adds up.
UNWIND CASE facts WHEN [] THEN [null] ELSE facts END AS fact
WITH terms, t, h, verb, drop, kind, path, steps, template, name, max(weight) AS weight, collect(DISTINCT fact) AS facts
ORDER BY drop > 1e-9 DESC, weight DESC, path
WITH terms, t, sum(weight) AS total,
     collect({h: h, verb: verb, drop: drop, kind: kind, path: path, steps: steps, template: template, name: name,
              weight: weight, facts: facts}) AS found
UNWIND found[..$limit] AS row
// The surest place in a text, and the sentence around it, cut as product/why cuts it.
CALL (row) {
  UNWIND row.facts AS fact
  MATCH (e:Evidence {fact: fact})-[:FROM]->(d:Document)
  WITH e, d
  ORDER BY e.confidence DESC, d.id, e.start
  LIMIT 1
  LET before = split(left(d.text, e.start), ['. ', '! ', '? ', '。', '！', '？', '\n'])[-1],
      after = split(substring(d.text, e.end), ['. ', '! ', '? ', '。', '！', '？', '\n'])[0]
  LET length = size(before) + (e.end - e.start) + size(after) + 1
  RETURN collect(trim(substring(d.text, e.start - size(before), length)))[0] AS said
}
LET words = CASE
  WHEN $language STARTS WITH 'zh' THEN {
    BOUGHT: '您购买过{h}', RATED: '您评价过{h}', CARTED: '您把{h}加入过购物车', CLICKED: '您点击过{h}', VIEWED: '您浏览过{h}',
    because: '因为', then: '：', end: '。', said: '文中写道：“{s}”',
    itself: '推荐的正是它', ACCESSORY_OF: '{t}是它的配件', `ACCESSORY_OF other way`: '它是{t}的配件',
    COMPATIBLE_WITH: '{t}与它兼容', BOUGHT_WITH: '{t}常与它一起购买', VIEWED_WITH: '{t}常与它一起浏览',
    VARIANT_OF: '{t}是它的另一款式', SUBSTITUTE_FOR: '{t}可以代替它', `ACCESSORY_OF kind`: '{t}是{x}的配件',
    `COMPATIBLE_WITH kind`: '{t}与{x}兼容', MADE_BY: '{t}同样出自{x}', IN_CATEGORY: '{t}同属{x}',
    HAS_ATTRIBUTE: '{t}同样有{x}', PRAISED_FOR: '{t}的{x}同样受到好评', TAKEN_BY_BOTH: '有{x}位顾客两样都选了，另一样是{t}',
    SIMILAR_TO: '喜欢它的人往往也喜欢{t}'
  }
  ELSE {
    BOUGHT: 'you bought {h}', RATED: 'you rated {h}', CARTED: 'you put {h} into the cart',
    CLICKED: 'you clicked on {h}', VIEWED: 'you looked at {h}',
    because: 'Because ', then: ': ', end: '.', said: ' A text says: “{s}”',
    itself: 'it is this very product', ACCESSORY_OF: '{t} is made for it',
    `ACCESSORY_OF other way`: 'it is made for {t}',
    COMPATIBLE_WITH: '{t} works with it', BOUGHT_WITH: '{t} is often bought with it',
    VIEWED_WITH: '{t} is often looked at with it', VARIANT_OF: '{t} is a variant of it',
    SUBSTITUTE_FOR: '{t} can take its place', `ACCESSORY_OF kind`: '{t} is made for {x}',
    `COMPATIBLE_WITH kind`: '{t} works with {x}', MADE_BY: '{t} is made by {x}, too',
    IN_CATEGORY: '{t} belongs to {x}, too', HAS_ATTRIBUTE: '{t} has {x}, too',
    PRAISED_FOR: '{t} is praised for {x}, too', TAKEN_BY_BOTH: 'others who took it took {t}, too ({x})',
    SIMILAR_TO: 'who likes it tends to like {t}'
  }
END
LET sentence = words.because + replace(words[row.verb], '{h}', row.h.title) + words.then
               + replace(replace(words[row.template], '{t}', t.title), '{x}', coalesce(row.name, '')) + words.end
               + CASE WHEN said IS NULL THEN '' ELSE replace(words.said, '{s}', said) END
RETURN row.kind AS kind, row.path AS path, row.weight AS weight,
       CASE WHEN total > 0.0 THEN row.weight / total ELSE 0.0 END AS share, sentence,
       COUNT { MATCH (e:Evidence) WHERE e.fact IN row.facts } AS evidence, row.facts AS facts, row.steps AS steps,
       terms, row.drop AS drop
ORDER BY drop > 1e-9 DESC, weight DESC, path
