from t2ipal.captions.prompt import chat_messages, join_names


def test_join_names():
    assert join_names(["fish"]) == "fish"
    assert join_names(["fish", "tree"]) == "fish and tree"
    assert join_names(["fish", "house", "tree"]) == "fish , house and tree"


def test_chat_messages():
    assert chat_messages("write a caption with {classes} .", ["fish", "tree"]) == [
        {"role": "user", "content": "write a caption with fish and tree ."}
    ]


def test_other_braces_in_the_template_stay():
    assert chat_messages('answer {"text": {classes}}', ["cat"])[0]["content"] == 'answer {"text": cat}'
