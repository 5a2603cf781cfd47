"""What a run made and how good it is, as one page for people: report/index.html.

content       what is on it, as plain data
gather        from a run's folder to that
comparison    from two of them to what is on a page side by side
charts        SVG, from the data
page          HTML, from data, charts and templates/
"""
