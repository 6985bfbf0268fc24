"""A block of every kind whose key fits its content, in the text form of `NewBlock`."""

FITTING = {
    "multiple_choice": """
        content { prompt: "?" multiple_choice {
            choices { item_id: "a" } choices { item_id: "b" } choices { item_id: "c" } } }
        answer_key { choices {
            choices { choice_id: "c" credit: 1 } choices { choice_id: "a" } choices { choice_id: "b" } } }
    """,
    "true_false": """
        content { prompt: "?" true_false {} }
        answer_key { true_false { value: true } }
    """,
    "fill_in_blank": """
        content { prompt: "?" fill_in_blank { text: "{{x}} and {{y}}" blank_ids: "x" blank_ids: "y" } }
        answer_key { blanks {
            blanks { blank_id: "y" accepted { text: "why" credit: 1 } }
            blanks { blank_id: "x" accepted { text: "ex" credit: 1 } } } }
    """,
    "matching": """
        content { prompt: "?" matching {
            left { item_id: "l1" } left { item_id: "l2" }
            right { item_id: "r1" } right { item_id: "r2" } right { item_id: "r3" } } }
        answer_key { pairs {
            pairs { left_id: "l1" right_id: "r2" } pairs { left_id: "l2" right_id: "r1" }
            spare_right_ids: "r3" } }
    """,
    "swipe_categorize": """
        content { prompt: "?" swipe_categorize {
            items { item_id: "i1" } items { item_id: "i2" }
            categories { item_id: "c1" } categories { item_id: "c2" } } }
        answer_key { categories {
            placements { item_id: "i1" category_id: "c2" } placements { item_id: "i2" category_id: "c2" }
            category_ids: "c1" category_ids: "c2" } }
    """,
    "ordering": """
        content { prompt: "?" ordering {
            items { item_id: "a" } items { item_id: "b" } items { item_id: "c" } } }
        answer_key { order { item_ids: "b" item_ids: "c" item_ids: "a" } }
    """,
    "numeric": """
        content { prompt: "?" numeric { unit: "km" } }
        answer_key { number { ranges { minimum: 1 maximum: 2 credit: 1 } } }
    """,
    "poll": """
        content { prompt: "?" poll { choices { item_id: "a" } choices { item_id: "b" } multiple: true } }
        answer_key { poll { choice_ids: "a" choice_ids: "b" multiple: true } }
    """,
    "open_text": """
        content { prompt: "?" open_text {} }
        answer_key { text { max_length: 500 } }
    """,
}
